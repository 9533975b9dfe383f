"""A text as normalised words."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
_LETTER = rf"[a-zA-Z0-9]++|[^\W_{_UNSPACED}]"
_LETTERS = rf"(?:{_LETTER})(?:{_LETTER}|[\u0300-\u036f])*+"
_WORD = re.compile(rf"{_LETTERS}(?:['\u2019]{_LETTERS})*+|[{_UNSPACED}]")
"""A letter of a script without spaces; or letters and digits, with combining marks and apostrophes among them.

Runs of ASCII have a branch of their own, and nothing is tried twice: it takes two thirds of the time.
"""


class Words(NamedTuple):
    """`keys` (words,) uint64: equal for words that are the same once normalised. `starts`, `ends`: code points."""

    keys: NDArray[np.uint64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def read(text: str) -> Words:
    """The words of a text in order.

    Two are the same when they are after NFKC, case folding, and without apostrophes; punctuation is no part of a word.
    """
    found = [(_key(match[0]), *match.span()) for match in _WORD.finditer(text)]
    keys, starts, ends = zip(*found, strict=True) if found else ((), (), ())
    return Words(np.array(keys, dtype=np.uint64), np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64))


@lru_cache(maxsize=1 << 18)
def _key(word: str) -> int:
    """64 bits of a hash: that any two of a million different words have the same is one in 40 million."""
    folded = unicodedata.normalize("NFKC", word).casefold()
    plain = unicodedata.normalize("NFKC", folded.replace("'", "").replace("\u2019", ""))
    return int.from_bytes(hashlib.blake2b(plain.encode("utf-8"), digest_size=8).digest(), "little")
