"""The best passages of a set of segments by BM25."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.retrieval.bm25.compiled import compiled
from services.retrieval.bm25.postings import Postings
from services.retrieval.bm25.score import score
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
    counted: a filter says what is wanted, and not how rare a word is.
    """
    rankings = []
    for query in words(queries):
        parts = []
        for scores, may in zip(score(segments, query, alive), allowed or [None] * len(segments), strict=True):
            rows = _best(scores, may, count)
            parts.append((rows, scores[rows]))
        rankings.append(Ranking.merge(parts, count))
    return rankings


@compiled
def _best(scores: NDArray[np.float64], allowed: Rows, count: int) -> NDArray[np.int64]:
    """The rows of the best `count` scores above 0, of those allowed, and of all that equal the last of them; ascending.

    Above a million scores a heap of the best takes one comparison for nearly each, and sorting them several times that.
    """
    heap = np.zeros(count)
    for row in range(len(scores)):
        score = scores[row]
        if score > heap[0] and (allowed is None or allowed[row]):
            place = 0
            while True:
                child = 2 * place + 1
                if child >= count:
                    break
                if child + 1 < count and heap[child + 1] < heap[child]:
                    child += 1
                if heap[child] >= score:
                    break
                heap[place] = heap[child]
                place = child
            heap[place] = score
    rows = np.empty(len(scores), np.int64)
    found = 0
    for row in range(len(scores)):
        if scores[row] > 0 and scores[row] >= heap[0] and (allowed is None or allowed[row]):
            rows[found] = row
            found += 1
    return rows[:found].copy()
