"""Vectors that a search computed from texts, kept for the next one that needs them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Places = list[tuple[int, int]]

LIMIT = 2048
"""Vectors kept of a segment: 3 MB of MiniLM's. The paper's hub cache is chosen when an index is built; this one holds
what is really searched for."""


class Kept:
    """The vectors of one segment's rows that were used last. They go when the segment does."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._vectors: OrderedDict[int, Floats] = OrderedDict()
        self._lock = Lock()

    def get(self, row: int) -> Floats | None:
        """The vector of a row, if it is kept."""
        with self._lock:
            if row in self._vectors:
                self._vectors.move_to_end(row)
            return self._vectors.get(row)

    def put(self, row: int, vector: Floats) -> None:
        """Keep a vector in the place of that which has not been used for the longest time."""
        with self._lock:
            self._vectors[row] = vector
            self._vectors.move_to_end(row)
            if len(self._vectors) > self._limit:
                self._vectors.popitem(last=False)


def vectors(kept: Sequence[Kept], places: Places, embed: Callable[[Places], Floats]) -> Floats:
    """(n, d) vectors of (segment, row) places: those that are kept, and the others from `embed`.

    As `embed` makes each of its text alone, a vector that was kept is to the last bit what it would make again: no
    answer depends on what was searched for before, nor on who did.
    """
    found = [kept[segment].get(row) for segment, row in places]
    missing = [place for place, vector in zip(places, found, strict=True) if vector is None]
    made = iter(embed(missing)) if missing else iter(())
    for number, (segment, row) in enumerate(places):
        if found[number] is None:
            vector = next(made).copy()  # not a view, which would keep all that came with it
            kept[segment].put(row, vector)
            found[number] = vector
    return np.array(found, np.float32)
