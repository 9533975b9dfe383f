"""The best passages of a set of segments by BM25."""

from __future__ import annotations

from collections.abc import Sequence

from services.retrieval.bm25.postings import Postings
from services.retrieval.bm25.score import best
from services.retrieval.bm25.words import words
from services.retrieval.ranking import Ranking, Rows


def search(
    segments: Sequence[Postings],
    queries: Sequence[str],
    count: int,
    alive: Sequence[Rows] | None = None,
    allowed: Sequence[Rows] | None = None,
) -> list[Ranking]:
    """The best `count` passages for each query, of those that have at least one of its words.

    Passages that are not `alive` count for nothing. Those that are not `allowed`, of the others, are not found, but are
    counted: a filter says what is wanted, and not how rare a word is. Without `allowed` all that are alive are.
    """
    living: Sequence[Rows] = alive or [None] * len(segments)
    may = allowed or living
    return [Ranking.merge(best(segments, query, count, living, may), count) for query in words(queries)]
