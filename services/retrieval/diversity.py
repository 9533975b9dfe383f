"""Of passages that are like one another, fewer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.retrieval.ranking import Ranking


def maximal_marginal_relevance(
    found: Ranking, vectors: NDArray[np.float32], diversity: float, count: int
) -> list[tuple[int, int]]:
    """The places of `count` of the passages found, in the order in which they are chosen.

    Each time that of the largest (1 - diversity) * relevance - diversity * similarity, where the similarity is the
    largest inner product of its vector with one chosen before; `vectors` are (n, d), of length 1, in the order of
    `found`. The relevance is its score, brought between 0 and 1 over all that was found: scores of words and of ranks
    have another scale than inner products. Source: Carbonell and Goldstein 1998.
    """
    scores = found.scores
    spread = float(scores.max() - scores.min()) if len(scores) else 0.0
    relevance = (scores - scores.min()) / spread if spread else np.ones(len(scores))
    similarity = np.zeros(len(scores))
    left = np.ones(len(scores), bool)
    chosen: list[int] = []
    while left.any() and len(chosen) < count:
        worth = np.where(left, (1 - diversity) * relevance - diversity * similarity, -np.inf)
        best = int(worth.argmax())
        chosen.append(best)
        left[best] = False
        likeness = np.einsum("nd,d->n", vectors, vectors[best])
        similarity = likeness if len(chosen) == 1 else np.maximum(similarity, likeness)
    places = found.places()
    return [places[number] for number in chosen]
