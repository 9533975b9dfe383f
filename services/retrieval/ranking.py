"""An ordered list of passages of several segments, as every index returns it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.bool_] | None
"""Which of a segment's passages are meant, by row; None: all."""


@dataclass(frozen=True)
class Ranking:
    """The i-th best passage is row `rows[i]` of segment `segments[i]` (a position in the list searched), with
    `scores[i]`. Arrays of one length: int64, int64, float64, the scores descending.
    """

    segments: NDArray[np.int64]
    rows: NDArray[np.int64]
    scores: NDArray[np.float64]

    @classmethod
    def merge(
        cls, parts: Sequence[tuple[NDArray[np.int64], NDArray[np.float32] | NDArray[np.float64]]], count: int
    ) -> Self:
        """The best `count` of (rows, scores) of each segment, as in `best`."""
        if not parts:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        segments = np.concatenate([np.full(len(rows), number) for number, (rows, _) in enumerate(parts)])
        rows = np.concatenate([rows for rows, _ in parts])
        return cls.best(segments, rows, np.concatenate([scores for _, scores in parts]), count)

    @classmethod
    def best(
        cls,
        segments: NDArray[np.int64],
        rows: NDArray[np.int64],
        scores: NDArray[np.float32] | NDArray[np.float64],
        count: int,
    ) -> Self:
        """The best `count` of these, in any order.

        Equal scores stand in the order of the segments, then of the rows: segments left out change no order.
        """
        wide = scores.astype(np.float64)
        if len(wide) > count:
            kept = wide >= np.partition(wide, -count)[-count]  # sorting all takes far longer than this
            segments, rows, wide = segments[kept], rows[kept], wide[kept]
        best = np.lexsort((rows, segments, -wide))[:count]
        return cls(segments[best], rows[best], wide[best])

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, start: int, end: int) -> Self:
        """From the one at `start` to the one before `end`."""
        return type(self)(self.segments[start:end], self.rows[start:end], self.scores[start:end])

    def places(self) -> list[tuple[int, int]]:
        """(segment, row) of each, best first."""
        return list(zip(self.segments.tolist(), self.rows.tolist(), strict=True))
