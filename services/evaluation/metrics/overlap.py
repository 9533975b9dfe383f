"""How much of a text stands in a collection, n words at a time, by a Bloom filter (as MIMIR filters non-members).

Distinct documents may share their n-grams: what stands in the training text of others is half a member already
(Duan et al. 2024), and non-members chosen to share none are another kind of text than the members are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
import regex
from numpy.typing import NDArray

FALSE_POSITIVES = 1e-3
"""Of an n-gram that the collection does not hold."""

_BOUNDARY = regex.compile(r"(?w)\b")
"""Unicode's word boundaries (UAX 29)."""


def words(text: str) -> list[str]:
    """The words and the marks between them, as the filter of the published masks (BFF) cuts them; no white space."""
    return [word for word in _BOUNDARY.split(text) if word and not word.isspace()]


def ngrams(text: str, n: int) -> list[str]:
    """Every n words in a row; none of a text with fewer."""
    found = words(text)
    return [" ".join(found[start : start + n]) for start in range(len(found) - n + 1)]


class Bloom:
    """A set that may say yes of what it does not hold, at FALSE_POSITIVES once `expected` strings are in it.

    Bits and hashes after Bloom (1970): m = -n ln p / (ln 2)^2 bits and k = m/n ln 2 of them for each string, their
    places by double hashing (Kirsch & Mitzenmacher 2006).
    """

    def __init__(self, expected: int) -> None:
        # in a handful of bits the hashes of one string would meet
        size = max(1000, expected)
        bits = math.ceil(-size * math.log(FALSE_POSITIVES) / math.log(2) ** 2)
        self._hashes = max(1, round(bits / size * math.log(2)))
        self._bits = np.zeros(bits, dtype=np.bool_)

    def add(self, strings: Sequence[str]) -> None:
        """Put strings in."""
        self._bits[self._places(strings)] = True

    def holds(self, strings: Sequence[str]) -> NDArray[np.bool_]:
        """Of each string whether it is in, (strings,)."""
        found: NDArray[np.bool_] = np.logical_and.reduce(self._bits[self._places(strings)], axis=1)
        return found

    def _places(self, strings: Sequence[str]) -> NDArray[np.int64]:
        digests = b"".join(blake2b(one.encode("utf-8", "surrogatepass"), digest_size=16).digest() for one in strings)
        pair = np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)
        steps = np.arange(self._hashes, dtype=np.uint64)
        # an even step would leave out half of the places where their number is even
        places = (pair[:, :1] + steps * (pair[:, 1:] | np.uint64(1))) % np.uint64(len(self._bits))
        return places.astype(np.int64)


class Collection:
    """The n-grams of a collection of documents: those of any, and those that stand in more than one."""

    def __init__(self, documents: Iterable[str], n: int) -> None:
        each = [ngrams(document, n) for document in documents]
        total = sum(map(len, each))
        self.n, self._any, self._several = n, Bloom(total), Bloom(total)
        for found in each:
            # once a document: an n-gram that it repeats does not stand in another
            distinct = list(dict.fromkeys(found))
            before = self._any.holds(distinct)
            self._several.add([one for one, known in zip(distinct, before, strict=True) if known])
            self._any.add(distinct)

    def overlap(self, text: str, *, inside: bool = False) -> float | None:
        """The share of a text's n-grams that the collection holds; None of a text with fewer than n words.

        `inside`: the text is (a part of) one of the collection's own documents; only what other ones hold counts.
        """
        found = ngrams(text, self.n)
        return float((self._several if inside else self._any).holds(found).mean()) if found else None


def matched(one: Sequence[float], other: Sequence[float], caliper: float) -> list[tuple[int, int]]:
    """As many pairs of a place in `one` and a place in `other` as can be, whose values are within `caliper`."""
    first = sorted(range(len(one)), key=lambda place: one[place])
    second = sorted(range(len(other)), key=lambda place: other[place])
    found, here, there = [], 0, 0
    while here < len(first) and there < len(second):
        apart = one[first[here]] - other[second[there]]
        if abs(apart) <= caliper:
            found.append((first[here], second[there]))
        # the smaller one cannot be of use to any later one of the other side
        here, there = here + (apart <= caliper), there + (apart >= -caliper)
    return found
