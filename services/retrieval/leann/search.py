"""LEANN over a set of segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from services.retrieval.leann.codes import Codes
from services.retrieval.leann.moments import Moments
from services.retrieval.leann.recompute import Aim, recompute
from services.retrieval.ranking import Ranking, Rows


def candidates(
    segments: Sequence[Codes],
    queries: NDArray[np.float32],
    count: int,
    *,
    alive: Sequence[Rows] | None = None,
    allowed: Sequence[Rows] | None = None,
    owners: Sequence[str] | None = None,
) -> tuple[list[Ranking], NDArray[np.float64]]:
    """The best `count` passages of the segments by expected score, for each of (q, d) queries; and (q, segments) the
    standard deviations of the exact scores about the expected ones. `alive` and `allowed` are as in `Codes.search`, by
    segment; without them all rows are. What is expected depends on how an owner's scores are spread, and not on how its
    passages are divided into segments; `owners` are by segment, without them all are of one."""
    every: list[Rows] = [None] * len(segments)
    rows = list(zip(segments, alive or every, allowed or every, strict=True))
    of = owners or [""] * len(segments)
    rankings, deviations = [], np.empty((len(queries), len(segments)))
    for number, query in enumerate(queries):
        found = [segment.search(query, count, living, may) for segment, living, may in rows]
        parts = {owner: [each.moments for each, whose in zip(found, of, strict=True) if whose == owner] for owner in of}
        together = {owner: Moments.together(part) for owner, part in parts.items()}
        expected = [(each.rows, together[owner].expected(each.scores)) for each, owner in zip(found, of, strict=True)]
        rankings.append(Ranking.merge(expected, count))
        deviations[number] = [together[owner].deviation for owner in of]
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
