"""LEANN over a set of segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from services.retrieval.leann.codes import Codes
from services.retrieval.leann.recompute import Aim, recompute
from services.retrieval.ranking import Ranking, Rows


def candidates(
    segments: Sequence[Codes],
    queries: NDArray[np.float32],
    count: int,
    alive: Sequence[Rows] | None = None,
    allowed: Sequence[Rows] | None = None,
) -> tuple[list[Ranking], NDArray[np.float64]]:
    """The best `count` passages of the segments by estimated score, for each of (q, d) queries; and (q, segments) the
    standard deviations of the exact scores about the estimates. `alive` and `allowed` are as in `Codes.search`, by
    segment; without them all rows are."""
    every: list[Rows] = [None] * len(segments)
    rows = list(zip(segments, alive or every, allowed or every, strict=True))
    rankings, deviations = [], np.empty((len(queries), len(segments)))
    for number, query in enumerate(queries):
        found = [segment.search(query, count, living, may) for segment, living, may in rows]
        rankings.append(Ranking.merge([(each.rows, each.means) for each in found], count))
        deviations[number] = [each.deviation for each in found]
    return rankings, deviations


def exact(
    found: Ranking,
    deviations: NDArray[np.float64],
    query: NDArray[np.float32],
    aim: Aim,
    embed: Callable[[Ranking], NDArray[np.float32]],
) -> Ranking:
    """The candidates of a (d,) query that were scored exactly, best first: at least k if there are so many.

    `embed` makes (n, d) vectors of passages, each of its text alone: so no score depends on what else is in the
    datastore. `deviations` are the query's, and `aim` as in `recompute`.
    """

    def score(some: Ranking) -> NDArray[np.float32]:
        # einsum and not @: BLAS sums in another order for another count of rows
        scores: NDArray[np.float32] = np.einsum("nd,d->n", embed(some), query)
        return scores

    return recompute(found, deviations, aim, score)
