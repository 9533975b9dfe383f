"""One ranking out of several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.retrieval.ranking import Ranking


def mean_of_scaled(rankings: Sequence[Ranking], depth: int, count: int) -> Ranking:
    """The best `count` by the mean of their scores in the rankings, each ranking's scores brought between 0 and 1.

    Each ranking holds the best `depth` passages, or all there are. Its best is 1. In a full one the last is 0, since
    nothing that it does not hold is better; one that is not full holds all that has a score, and there 0 stays 0, or
    the least score is 0 if that is below. A passage that a ranking does not hold is 0 in it.
    Source: convex combination (Bruch, Gai and Ingber 2023), with equal weights: no judgements are needed to set them.
    """
    sums: dict[tuple[int, int], float] = defaultdict(float)
    for ranking in rankings:
        for place, share in zip(ranking.places(), _scaled(ranking.scores, depth).tolist(), strict=True):
            sums[place] += share / len(rankings)
    ordered = sorted(sums, key=lambda place: (-sums[place], place))[:count]
    places = np.array(ordered, np.int64).reshape(-1, 2)
    return Ranking(places[:, 0], places[:, 1], np.array([sums[place] for place in ordered], np.float64))


def _scaled(scores: NDArray[np.float64], depth: int) -> NDArray[np.float64]:
    if not len(scores):
        return scores
    floor = scores[-1] if len(scores) >= depth else min(0.0, scores[-1])
    spread = scores[0] - floor
    return (scores - floor) / spread if spread else np.ones(len(scores))
