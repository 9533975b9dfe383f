"""N-grams of words as 64-bit numbers, and how alike two sets of them are."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Grams = NDArray[np.uint64]
"""A set: distinct, ascending."""

_word = re.compile(r"\w+")
_FACTOR = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def words(text: str) -> list[str]:
    """Letters and digits in a row, after Unicode's compatibility forms and case are made one."""
    return _word.findall(unicodedata.normalize("NFKC", text).casefold())


def grams(text: Sequence[str], n: int) -> Grams:
    """The set of n-grams of a text's words; none if there are fewer words than n.

    Two different n-grams have one number by chance alone, once in 2^64.
    """
    count = len(text) - n + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    hashes = np.fromiter(map(_hash, text), np.uint64, len(text))
    total = np.zeros(count, np.uint64)
    factor = 1
    for place in range(n):
        factor = factor * _FACTOR & _MASK
        total += hashes[place : place + count] * np.uint64(factor)
    return np.unique(total ^ (total >> np.uint64(31)))


def jaccard(one: Grams, other: Grams) -> float:
    """What two sets share of what either has; 0 for two empty ones."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    either = len(one) + len(other) - shared
    return shared / either if either else 0.0


@lru_cache(maxsize=1 << 18)
def _hash(word: str) -> int:
    """The same in every process, which Python's own hash is not."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
