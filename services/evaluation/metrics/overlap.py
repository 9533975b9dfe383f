"""How much of a text stands in a collection, n words at a time, by a Bloom filter (as MIMIR filters non-members).

Distinct documents may share their n-grams: what stands in the training text of others is half a member already
(Duan et al. 2024), and non-members chosen to share none are another kind of text than the members are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
        self._hashes, self._size = max(1, round(bits / size * math.log(2))), bits
        self._bits = np.zeros(-(-bits // 8), dtype=np.uint8)

    def add(self, strings: Sequence[str]) -> None:
        """Put strings in."""
        self.mark(self.places(strings))

    def holds(self, strings: Sequence[str]) -> NDArray[np.bool_]:
        """Of each string whether it is in, (strings,)."""
        return self.marked(self.places(strings))

    def places(self, strings: Sequence[str]) -> NDArray[np.int64]:
        """Where each string's bits are, (strings, hashes): the same in every filter of the same size."""
        digests = b"".join(blake2b(one.encode("utf-8", "surrogatepass"), digest_size=16).digest() for one in strings)
        pair = np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)
        steps = np.arange(self._hashes, dtype=np.uint64)
        # an even step would leave out half of the places where their number is even
        places = (pair[:, :1] + steps * (pair[:, 1:] | np.uint64(1))) % np.uint64(self._size)
        return places.astype(np.int64)

    def mark(self, places: NDArray[np.int64]) -> None:
        """Put in the strings of these places."""
        # .at: two strings may have bits in the same byte
        np.bitwise_or.at(self._bits, places >> 3, _bit(places))

    def marked(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Of the string of each row whether it is in, (strings,)."""
        found: NDArray[np.bool_] = np.logical_and.reduce(self._bits[places >> 3] & _bit(places) != 0, axis=1)
        return found


def _bit(places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Of each place its bit within a byte."""
    bit: NDArray[np.uint8] = np.left_shift(1, places & 7).astype(np.uint8)
    return bit


class Collection:
    """The n-grams of a collection of documents: those of any, and those that stand in more than one."""

    def __init__(self, documents: Sequence[str], n: int) -> None:
        # counted first and made again: all n-grams at once would be a hundred bytes a word of the collection
        total = sum(max(0, len(words(document)) - n + 1) for document in documents)
        self.n, self._any, self._several = n, Bloom(total), Bloom(total)
        for document in documents:
            # once a document: an n-gram that it repeats does not stand in another
            places = self._any.places(list(dict.fromkeys(ngrams(document, n))))
            self._several.mark(places[self._any.marked(places)])
            self._any.mark(places)

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
