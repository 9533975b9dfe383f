"""Binary search in suffix arrays: the longest match at every position, and the rank range of an n-gram.

All functions take many patterns at once, run without the GIL, and return ranks rather than occurrences, so that
their cost depends on the length of the text and the depth of the search, never on how often something occurs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from services.tracing.tokenizer import Ids

Numbers = NDArray[np.int64]
Function = TypeVar("Function", bound=Callable[..., object])
compiled: Callable[[Function], Function] = numba.njit(nogil=True, cache=True)
helper: Callable[[Function], Function] = numba.njit(nogil=True)
"""What only compiled functions call is compiled, and kept on disk, as a part of them."""


class Index(NamedTuple):
    """A segment to the search: read-only arrays.

    `tokens` (n,) unsigned: every document's tokens with the separator, the largest id of the dtype, after it.
    `suffixes` (m,) uint32: positions of `tokens` that are not separators, in the order of their suffixes.
    `buckets` (vocabulary + 1,) uint32: suffixes of ranks `buckets[t]` to `buckets[t + 1]` begin with token t.
    """

    tokens: Ids
    suffixes: NDArray[np.uint32]
    buckets: NDArray[np.uint32]


class Patterns(NamedTuple):
    """Sequences to look for: each is a piece of `heads` and then a piece of `text`.

    Variants of a text that differ in their first word share the rest of it, so none is copied. Pattern p is
    `heads[head[p] : head[p] + split[p]]` followed by `text[tail[p]:]`, and `length[p]` tokens of it count.
    `text`, `heads` are of the index's dtype; the others (patterns,) int64. No length is 0.
    """

    text: Ids
    heads: Ids
    head: Numbers
    split: Numbers
    tail: Numbers
    length: Numbers


def whole(ids: Ids) -> Patterns:
    """The one pattern that is all of `ids`."""
    zero = np.zeros(1, dtype=np.int64)
    return Patterns(ids, ids[:0], zero, zero, zero, np.array([ids.size], dtype=np.int64))


@compiled
def longest(index: Index, patterns: Patterns) -> Numbers:
    """For each pattern the length of its longest prefix that occurs in the index; (patterns,) int64, 0 for none."""
    found = np.zeros(patterns.length.size, dtype=np.int64)
    for p in range(found.size):
        bucket = _bucket(index, _symbol(patterns, p, 0))
        if bucket[0] < bucket[1]:
            # the pattern's two neighbours in suffix order share more of it than any other suffix does
            _, below, above = _descend(index, patterns, p, bucket, False)
            found[p] = max(below, above)
    return found


@compiled
def ranges(index: Index, patterns: Patterns) -> Numbers:
    """The ranks [low, high) of the suffixes that begin with each pattern; (patterns, 2) int64, low = high for none."""
    found = np.zeros((patterns.length.size, 2), dtype=np.int64)
    for p in range(found.shape[0]):
        low, high = _bucket(index, _symbol(patterns, p, 0))
        if low < high and patterns.length[p] > 1:
            low, _, shared = _descend(index, patterns, p, (low, high), False)
            if shared == patterns.length[p]:
                high, _, _ = _descend(index, patterns, p, (low, high), True)
            else:
                high = low
        found[p, 0], found[p, 1] = low, high
    return found


@helper
def _symbol(patterns: Patterns, p: int, k: int | np.int64) -> np.int64:
    """Token k of pattern p."""
    split = patterns.split[p]
    if k < split:
        return np.int64(patterns.heads[patterns.head[p] + k])
    return np.int64(patterns.text[patterns.tail[p] + k - split])


@helper
def _bucket(index: Index, token: np.int64) -> tuple[np.int64, np.int64]:
    """The ranks of the suffixes that begin with a token; an id the vocabulary does not have begins none."""
    if token + 1 >= index.buckets.size:
        return np.int64(0), np.int64(0)
    return np.int64(index.buckets[token]), np.int64(index.buckets[token + 1])


@helper
def _descend(
    index: Index, patterns: Patterns, p: int, within: tuple[np.int64, np.int64], after: bool
) -> tuple[np.int64, np.int64, np.int64]:
    """The first rank of [low, high) whose suffix is not below pattern p, or that is past all that begin with it.

    Also what the pattern shares with the suffix before that rank and with the suffix at it, in tokens; every
    suffix of the range shares the first. A comparison starts where both ends of the remaining range already
    agree with the pattern (Manber and Myers 1993), so that no token is compared twice on the way down one side.
    """
    length = patterns.length[p]
    low, high = within
    below = above = np.int64(1)
    while low < high:
        middle = (low + high) >> 1
        position = np.int64(index.suffixes[middle])
        shared = min(below, above)
        # the last token is a separator and matches nothing: no bound check on the index is needed
        while shared < length and np.int64(index.tokens[position + shared]) == _symbol(patterns, p, shared):
            shared += 1
        if shared == length:
            smaller = after
        else:
            smaller = bool(np.int64(index.tokens[position + shared]) < _symbol(patterns, p, shared))
        if smaller:
            low, below = middle + np.int64(1), shared
        else:
            high, above = middle, shared
    return low, below, above
