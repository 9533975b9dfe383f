"""Vectors that a search computed from texts, kept for the next one that needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from services.retrieval.recent import Recent

Floats = NDArray[np.float32]
Places = list[tuple[int, int]]

LIMIT = 2048
"""Vectors kept of a segment: 3 MB of MiniLM's. The paper's hub cache is chosen when an index is built; this one holds
what is really searched for."""


class Kept(Recent[int, Floats]):
    """The vectors of one segment's rows that were used last. They go when the segment does."""

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__(limit)


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
