"""Merging sorted suffixes, in numba; a file of its own, since it calls nothing that is compiled elsewhere."""

from __future__ import annotations

import numpy as np

from services.tracing.search.arrays import Numbers
from services.tracing.search.kernels import compiled
from services.tracing.tokenizer import Ids

STRIDE = 64
SLOTS = 1 << 18


def nothing_known() -> Numbers:
    """What comparisons have found, before the first: (SLOTS, 3) int64.

    A line says of a distance and a position, a multiple of STRIDE, where the stretch ends that begins there and stands
    again at that distance. Two suffixes that share much are at the distance of many others, so each long repetition is
    walked along about once, and not once for each suffix within it, as would be quadratic. A line may be lost to
    another: then it is walked along again.
    """
    return np.full((SLOTS, 3), -1, dtype=np.int64)


@compiled
def merge(
    tokens: Ids, streams: tuple[Numbers, Numbers, Numbers], order: Numbers, out: Numbers, known: Numbers
) -> tuple[int, int]:
    """Take positions from several sorted streams in the order of their suffixes, until `out` is full or one runs dry.

    `tokens` ends with a separator, and has one after each document. `streams`: the positions (streams, most), how many
    of each there are, and how many of each are taken. `order`: the streams that have some, by the suffix of their next
    one; both are brought up to date. The number of positions written, and the stream that ran dry, which is then
    still the first in `order`, or -1.
    """
    ahead, filled, taken = streams
    written = 0
    while written < out.size and order.size:
        stream = order[0]
        out[written] = ahead[stream, taken[stream]]
        written += 1
        taken[stream] += 1
        if taken[stream] == filled[stream]:
            return written, stream
        insert(tokens, (ahead, taken), order, known)
    return written, -1


@compiled
def insert(tokens: Ids, streams: tuple[Numbers, Numbers], order: Numbers, known: Numbers) -> None:
    """Put the first of `order`, whose next position is a new one, in its place among the others."""
    ahead, taken = streams
    stream = order[0]
    position = ahead[stream, taken[stream]]
    low, high = 1, order.size
    while low < high:
        middle = (low + high) >> 1
        other = order[middle]
        if _precedes(tokens, ahead[other, taken[other]], position, other < stream, known):
            low = middle + 1
        else:
            high = middle
    for place in range(1, low):
        order[place - 1] = order[place]
    order[low - 1] = stream


@compiled
def _precedes(tokens: Ids, one: int, other: int, if_same: bool, known: Numbers) -> bool:
    """Whether a suffix comes before another; of two that end alike, up to their separators, what is given."""
    low = min(one, other)
    shared = _end(tokens, low, max(one, other) - low, known) - low
    if tokens[one + shared] == tokens[other + shared]:
        return if_same
    return bool(tokens[one + shared] < tokens[other + shared])


@compiled
def _end(tokens: Ids, first: int, distance: int, known: Numbers) -> int:
    """The first position from `first` on that has another token than the one `distance` further on, or a separator."""
    separator = tokens[tokens.size - 1]
    at = first
    while True:
        edge = (at // STRIDE + 1) * STRIDE
        while at < edge and tokens[at] == tokens[at + distance] and tokens[at] != separator:
            at += 1
        if at < edge:
            end = at
            break
        slot = _slot(at, distance)
        if known[slot, 0] == distance and known[slot, 1] == at:
            end = known[slot, 2]
            break
    if at - first > 2 * STRIDE:
        for edge in range((first // STRIDE + 1) * STRIDE, at, STRIDE):
            slot = _slot(edge, distance)
            known[slot, 0], known[slot, 1], known[slot, 2] = distance, edge, end
    return end


@compiled
def _slot(position: int, distance: int) -> int:
    # distances of copies in a row are multiples of their length: a prime spreads them
    return (position // STRIDE + distance * 1000003) & (SLOTS - 1)
