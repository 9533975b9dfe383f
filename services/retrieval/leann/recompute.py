"""How many candidates need an exact score."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.retrieval.ranking import Ranking

STEP = 4
"""Exact scores computed between two looks at whether they suffice. Each text is embedded in a pass of its own, so that
more at once would save nothing and on average waste half a step."""


_DOUBT = 4
"""Estimates without error that are counted with those that were scored: a few say little of those left."""


class Aim(NamedTuple):
    """The share `recall` of the `k` best is to be found."""

    k: int
    recall: float

    @property
    def misses(self) -> float:
        """How many of the k best may be expected to be missed."""
        return (1 - self.recall) * self.k


def recompute(
    found: Ranking,
    deviations: NDArray[np.float64],
    aim: Aim,
    exact: Callable[[Ranking], NDArray[np.float32]],
) -> Ranking:
    """Those of the candidates whose exact scores it takes to know the best k, by exact score, best first.

    `deviations[s]` is the standard deviation of exact scores about the estimates of segment s. Candidates are scored
    in order of their estimates, until of those left fewer than `aim.misses` are expected to belong to the best k:
    the sum over them of the probability that a score, normal about its estimate, is above the k-th exact one. With
    a recall of 1 all candidates are scored. Estimates of the best can all be too low, where scores have longer tails
    than a normal distribution: the mean error of those that were scored is expected of those left as well. `exact` is
    called with a few candidates at a time.
    """
    scores: NDArray[np.float32] = np.empty(0, np.float32)
    spread = deviations[found.segments]
    done = min(aim.k, len(found))
    while done > len(scores):
        scores = np.append(scores, exact(found.part(len(scores), done)))
        if done < len(found):
            worst = np.partition(scores, -aim.k)[-aim.k]
            errors = scores - found.scores[:done]
            bias = float(errors.sum()) / (done + _DOUBT)
            left = expected_above(float(worst), found.scores[done:] + bias, spread[done:])
            done = min(done + STEP, len(found)) if left >= aim.misses else done
    return Ranking.best(found.segments[:done], found.rows[:done], scores, done)


def expected_above(threshold: float, estimates: NDArray[np.float64], deviations: NDArray[np.float64]) -> float:
    """How many of some scores are expected at or above a threshold, each normal about its estimate."""
    gaps = (threshold - estimates) / (np.maximum(deviations, 1e-12) * math.sqrt(2))
    return sum(math.erfc(gap) / 2 for gap in gaps.tolist())
