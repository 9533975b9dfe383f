"""One ranking out of several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from services.retrieval.ranking import Ranking

_DAMPING = 60


def reciprocal_ranks(rankings: Sequence[Ranking], count: int) -> Ranking:
    """The best `count` by the sum of 1 / (60 + rank) over the rankings that have the passage; ranks begin with 1.

    It needs no common scale of scores. Source: reciprocal rank fusion (Cormack et al. 2009).
    """
    sums: dict[tuple[int, int], float] = defaultdict(float)
    for ranking in rankings:
        for rank, place in enumerate(ranking.places(), start=1):
            sums[place] += 1 / (_DAMPING + rank)
    ordered = sorted(sums, key=lambda place: (-sums[place], place))[:count]
    places = np.array(ordered, np.int64).reshape(-1, 2)
    return Ranking(places[:, 0], places[:, 1], np.array([sums[place] for place in ordered], np.float64))
