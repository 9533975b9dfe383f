"""Merging sorted suffixes, in numba; a file of its own, since it calls nothing that is compiled elsewhere."""

from __future__ import annotations

from services.tracing.search.arrays import Numbers
from services.tracing.search.kernels import compiled
from services.tracing.tokenizer import Ids


@compiled
def merge(tokens: Ids, streams: tuple[Numbers, Numbers, Numbers], order: Numbers, out: Numbers) -> tuple[int, int]:
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
        insert(tokens, (ahead, taken), order)
    return written, -1


@compiled
def insert(tokens: Ids, streams: tuple[Numbers, Numbers], order: Numbers) -> None:
    """Put the first of `order`, whose next position is a new one, in its place among the others."""
    ahead, taken = streams
    stream = order[0]
    position = ahead[stream, taken[stream]]
    low, high = 1, order.size
    while low < high:
        middle = (low + high) >> 1
        other = order[middle]
        if _precedes(tokens, ahead[other, taken[other]], position, other < stream):
            low = middle + 1
        else:
            high = middle
    for place in range(1, low):
        order[place - 1] = order[place]
    order[low - 1] = stream


@compiled
def _precedes(tokens: Ids, one: int, other: int, if_same: bool) -> bool:
    """Whether a suffix comes before another; of two that end alike, up to their separators, what is given."""
    separator = tokens[tokens.size - 1]
    while tokens[one] == tokens[other]:
        if tokens[one] == separator:
            return if_same
        one += 1
        other += 1
    return bool(tokens[one] < tokens[other])
