"""The order of suffixes that end alike, in numba; a file of its own, since it calls nothing that is compiled elsewhere.

Documents that share their last tokens have suffixes that nothing but their places tells apart. In the order of their
places, the bytes of an index do not depend on what stands behind them, nor on how it was put together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.tracing.search.arrays import Numbers
from services.tracing.search.kernels import compiled
from services.tracing.tokenizer import Ids


@compiled
def halve(order: NDArray[np.int32], size: int) -> int:
    """Keep of sorted positions of bytes those of whole tokens of so many bytes, at the front; how many there are."""
    kept = 0
    for position in order:
        if position % size == 0:
            order[kept] = position // size
            kept += 1
    return kept


@compiled
def alike(tokens: Ids, edges: Numbers) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The positions of suffixes that others equal up to their separators, and how many those are with it, each.

    `edges` (documents + 1,): where each document begins, its separator last. Takes time for what is shared alone.
    """
    positions, sizes = np.empty(1024, dtype=np.uint32), np.empty(1024, dtype=np.uint32)
    count = 0
    ends = edges[1:] - 1  # of documents that still share `back` tokens with another
    begins = edges[:-1].copy()
    labels = np.zeros(ends.size, dtype=np.int64)  # the same for those that share them
    back = 1
    while ends.size > 1:
        some = np.flatnonzero(ends - back >= begins)
        ends, begins, labels = ends[some], begins[some], labels[some]
        keys = np.empty(ends.size, dtype=np.int64)
        for n in range(ends.size):
            keys[n] = (labels[n] << 32) | np.int64(tokens[ends[n] - back])
        order = np.argsort(keys)
        stay = np.zeros(ends.size, dtype=np.bool_)
        label, first = np.int64(0), 0
        while first < order.size:
            last = first + 1
            while last < order.size and keys[order[last]] == keys[order[first]]:
                last += 1
            if last - first > 1:
                while count + last - first > positions.size:
                    positions = np.concatenate((positions, np.empty_like(positions)))
                    sizes = np.concatenate((sizes, np.empty_like(sizes)))
                for n in order[first:last]:
                    positions[count], sizes[count] = ends[n] - back, last - first
                    count += 1
                    stay[n] = True
                    labels[n] = label
                label += 1
            first = last
        ends, begins, labels = ends[stay], begins[stay], labels[stay]
        back += 1
    return positions[:count], sizes[:count]


@compiled
def settle(suffixes: NDArray[np.int32], positions: NDArray[np.uint32], sizes: NDArray[np.uint32], total: int) -> None:
    """Put suffixes that are alike, which stand side by side, in the order of their positions.

    `positions` ascending, `sizes` as `alike` tells; `total` tokens.
    """
    marked = np.zeros(total // 8 + 1, dtype=np.uint8)
    for position in positions:
        marked[position >> 3] |= np.uint8(1 << (position & 7))
    rank = 0
    while rank < suffixes.size:
        position = suffixes[rank]
        if marked[position >> 3] >> (position & 7) & 1:
            size = int(sizes[np.searchsorted(positions, np.uint32(position))])
            suffixes[rank : rank + size] = np.sort(suffixes[rank : rank + size])
            rank += size
        else:
            rank += 1
