"""The two stages over a set of segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.retrieval.compactds import ann
from services.retrieval.compactds.ann import Reach
from services.retrieval.ranking import Ranking, Rows

SCANNED = 20_000
"""So many passages that a filter leaves are scored one by one, whatever the index."""

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]


class Vectors(NamedTuple):
    """The vectors of one segment: a FAISS index of the (n, d) `first`, and the (n, e) `exact` that exact scores are
    computed from: the same, or those of a second encoder. Both are float16 maps."""

    index: Any
    first: Halves
    exact: Halves


class Queries(NamedTuple):
    """(q, d) vectors of queries for the index, and (q, e) for the exact scores."""

    first: Floats
    exact: Floats


def candidates(
    segments: Sequence[Vectors], queries: Floats, reach: Reach, allowed: Sequence[Rows] | None = None
) -> list[Ranking]:
    """The best passages of the segments by the approximate scores of their indexes, for each of (q, d) queries.

    Each segment is searched for `reach.count`, so that as many are found whichever segments are left out. `allowed` are
    the rows of each segment that may be found; without it all. There are more than `reach.count` if a segment has an
    inverted file.
    """
    kept = reach.count * (ann.REFINED if any(ann.inverted(segment.index) for segment in segments) else 1)
    found = [
        ann.search(segment.index, queries, reach, rows)
        for segment, rows in zip(segments, allowed or [None] * len(segments), strict=True)
    ]
    rankings = []
    for query in range(len(queries)):
        parts = [(rows[query][there], scores[query][there]) for scores, rows in found for there in [rows[query] >= 0]]
        rankings.append(Ranking.merge(parts, kept))
    return rankings


def few(segments: Sequence[Vectors], allowed: Sequence[Rows]) -> bool:
    """Whether what may be found of all segments together is little enough to be scored one by one: so it makes no
    difference how an owner's passages are divided into segments."""
    counts = [
        len(segment.exact) if rows is None else np.count_nonzero(rows)
        for segment, rows in zip(segments, allowed, strict=True)
    ]
    return int(sum(counts)) <= SCANNED


def scan(segments: Sequence[Vectors], queries: Queries, count: int, allowed: Sequence[Rows]) -> list[Ranking]:
    """As `candidates`, of so few that all are scored exactly: the best `count` of those scores, with their scores by
    the vectors of the index."""
    parts: list[list[tuple[NDArray[np.int64], Floats]]] = [[] for _ in queries.exact]
    for segment, may in zip(segments, allowed, strict=True):
        rows = np.arange(len(segment.exact)) if may is None else np.flatnonzero(may)
        vectors = segment.exact[rows].astype(np.float32)
        for query, part in zip(queries.exact, parts, strict=True):
            part.append((rows, _products(vectors, query)))
    first = [segment.first for segment in segments]
    return [_scored(first, query, Ranking.merge(part, count)) for query, part in zip(queries.first, parts, strict=True)]


def exact(segments: Sequence[Vectors], query: Floats, found: Ranking) -> Ranking:
    """The same passages, ordered by their inner product with a (e,) query in float32, from the vectors on disk."""
    return _scored([segment.exact for segment in segments], query, found)


def _scored(vectors: Sequence[Halves], query: Floats, found: Ranking) -> Ranking:
    parts = []
    for number, each in enumerate(vectors):
        rows = np.sort(found.rows[found.segments == number])
        parts.append((rows, _products(each[rows].astype(np.float32), query)))
    return Ranking.merge(parts, len(found))


def _products(vectors: Floats, query: Floats) -> Floats:
    # einsum and not @: BLAS sums in another order for another count of rows, and then leaving out an owner
    # could change the last bit of another owner's score
    products: Floats = np.einsum("nd,d->n", vectors, query)
    return products
