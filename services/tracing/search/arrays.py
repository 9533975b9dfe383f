"""The arrays of a suffix array, as the compiled search takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.tracing.tokenizer import Ids

Numbers = NDArray[np.int64]


class Packed(NamedTuple):
    """Numbers of `width` bits each, 1 to 63, one after the other from the lowest bit of the first word on.

    `words` (ceil(numbers x width / 64),) uint64, read-only; where a file ends within a word, that one is `last` and not
    among `words`. What a number says is shifted right by `shift` bits: infini-gram keeps positions in bytes.
    """

    words: NDArray[np.uint64]
    last: np.uint64
    size: np.int64
    width: np.int64
    shift: np.int64


class Index(NamedTuple):
    """A segment to the search: read-only arrays.

    `tokens` (n,) unsigned: every document's tokens with the separator, the largest id of the dtype, between any two.
    `separator` is that id.
    `suffixes`: positions of `tokens` in the order of their suffixes, those of separators last or not among them.
    `firsts`, `pasts` (vocabulary,) uint32 or wider: suffixes of ranks `firsts[token]` to before `pasts[token]` begin
    with a token.
    `swapped`: tokens are not in the order of their numbers but in that of their bytes from the lowest on: infini-gram
    sorts a little-endian file as bytes.
    `dead` (hidden,) uint32 or wider, ascending: ranks that count for nothing, those of hidden documents.
    """

    tokens: Ids
    separator: np.int64
    suffixes: Packed
    firsts: Ids
    pasts: Ids
    swapped: bool
    dead: Ids


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


def stretches(ids: Ids, first: Numbers, length: Numbers) -> Patterns:
    """Patterns that are stretches of `ids`: `length` tokens from each `first` on."""
    zeros = np.zeros(first.size, dtype=np.int64)
    return Patterns(ids, ids[:0], zeros, zeros, first, length)
