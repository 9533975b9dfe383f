"""The two stages over a set of segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.retrieval.compactds import ann
from services.retrieval.ranking import Ranking


class Vectors(NamedTuple):
    """The vectors of one segment: its FAISS index, and the (n, d) float16 map of the vectors themselves."""

    index: Any
    exact: NDArray[np.float16]


def candidates(
    segments: Sequence[Vectors], queries: NDArray[np.float32], count: int, nprobe: int | None
) -> list[Ranking]:
    """The best `count` passages of the segments by the approximate scores of their indexes, for each of (q, d) queries.

    Each segment is searched for `count`, so that as many are found whichever segments are left out.
    """
    found = [ann.search(segment.index, queries, count, nprobe) for segment in segments]
    rankings = []
    for query in range(len(queries)):
        parts = [(rows[query][kept], scores[query][kept]) for scores, rows in found for kept in [rows[query] >= 0]]
        rankings.append(Ranking.merge(parts, count))
    return rankings


def exact(segments: Sequence[Vectors], query: NDArray[np.float32], found: Ranking) -> Ranking:
    """The same passages, ordered by their inner product with a (d,) query in float32, from the vectors on disk."""
    parts = []
    for number, segment in enumerate(segments):
        rows = np.sort(found.rows[found.segments == number])
        vectors = segment.exact[rows].astype(np.float32)
        # einsum and not @: BLAS sums in another order for another count of rows, and then leaving out an owner
        # could change the last bit of another owner's score
        parts.append((rows, np.einsum("nd,d->n", vectors, query)))
    return Ranking.merge(parts, len(found))
