"""BM25 scores over a set of segments."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.retrieval.bm25.compiled import compiled
from services.retrieval.bm25.postings import Pairs, Postings
from services.retrieval.ranking import Rows

K1 = 1.5
B = 0.75


def score(
    segments: Sequence[Postings], query: Sequence[str], alive: Sequence[Rows] | None = None
) -> list[NDArray[np.float64]]:
    """The score of every passage of each segment for a query given as its words; 0 where no word matches.

    Document frequencies and the mean length are those of the segments given, less the rows that are not `alive`, and of
    nothing else: the result is to the last bit that of an index which never held the others. (An index of ready-made
    weights, as bm25s keeps, would have to be made anew for each set of owners.)

    Source: BM25 in Lucene's form (Kamphuis et al. 2020), with k1 = 1.5 and b = 0.75, as bm25s has by default.
    """
    rows_of = alive or [None] * len(segments)
    scores = [np.zeros(len(segment)) for segment in segments]
    sizes = [segment.size(rows) for segment, rows in zip(segments, rows_of, strict=True)]
    passages = sum(count for count, _ in sizes)
    mean_length = sum(length for _, length in sizes) / max(passages, 1)
    for word, repeated in sorted(Counter(query).items()):
        postings = [segment.of(word, rows) for segment, rows in zip(segments, rows_of, strict=True)]
        frequency = sum(map(len, postings))
        rarity = repeated * math.log1p((passages - frequency + 0.5) / (frequency + 0.5))
        for segment, total, part in zip(segments, scores, postings, strict=True):
            _add(total, part, segment.lengths, rarity, mean_length)
    return scores


@compiled
def _add(
    scores: NDArray[np.float64], postings: Pairs, lengths: NDArray[np.int32], rarity: float, mean_length: float
) -> None:
    """Add to a segment's scores what one word gives."""
    for number in range(len(postings)):
        row, count = postings[number, 0], postings[number, 1]
        penalty = K1 * (1 - B + B * lengths[row] / mean_length)
        scores[row] += rarity * count / (count + penalty)
