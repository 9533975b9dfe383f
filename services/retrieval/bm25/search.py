"""The best passages of a set of segments by BM25."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.retrieval.bm25.postings import Postings
from services.retrieval.bm25.score import score
from services.retrieval.bm25.words import words
from services.retrieval.ranking import Ranking


def search(segments: Sequence[Postings], queries: Sequence[str], count: int) -> list[Ranking]:
    """The best `count` passages for each query, of those that have at least one of its words."""
    rankings = []
    for query in words(queries):
        parts = []
        for scores in score(segments, query):
            rows = np.flatnonzero(scores)
            parts.append((rows, scores[rows]))
        rankings.append(Ranking.merge(parts, count))
    return rankings
