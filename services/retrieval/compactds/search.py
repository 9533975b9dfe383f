"""The two stages over a set of segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.retrieval.compactds import ann
from services.retrieval.compactds.ann import Reach
from services.retrieval.ranking import Ranking, Rows


class Vectors(NamedTuple):
    """The vectors of one segment: its FAISS index, and the (n, d) float16 map of the vectors themselves."""

    index: Any
    exact: NDArray[np.float16]


def candidates(
    segments: Sequence[Vectors], queries: NDArray[np.float32], reach: Reach, allowed: Sequence[Rows] | None = None
) -> list[Ranking]:
    """The best passages of the segments by the approximate scores of their indexes, for each of (q, d) queries.

    Each segment is searched for `reach.count`, so that as many are found whichever segments are left out. `allowed` are
    the rows of each segment that may be found; without it all. There are more than `reach.count` if a segment has an
    inverted file.
    """
    kept = reach.count * (ann.REFINED if any(ann.inverted(segment.index) for segment in segments) else 1)
    found = [
        ann.search(segment.index, segment.exact, queries, reach, rows)
        for segment, rows in zip(segments, allowed or [None] * len(segments), strict=True)
    ]
    rankings = []
    for query in range(len(queries)):
        parts = [(rows[query][there], scores[query][there]) for scores, rows in found for there in [rows[query] >= 0]]
        rankings.append(Ranking.merge(parts, kept))
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
