"""How far estimates are off: the better they are known, the nearer to them an exact score is expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST_KEPT = 0.5


@dataclass(frozen=True)
class Moments:
    """Of the estimates of `count` scores the `mean` and the sum of `squares` about it; `error` is the variance of an
    estimate about its score, over `coded` passages."""

    count: int
    mean: float
    squares: float
    error: float
    coded: int

    @classmethod
    def of(cls, estimates: NDArray[np.float32], error: float, coded: int) -> Moments:
        """Those of these estimates."""
        wide = estimates.astype(np.float64)
        mean = float(wide.mean()) if len(wide) else 0.0
        return cls(len(wide), mean, float(np.square(wide - mean).sum()), error, coded)

    @classmethod
    def together(cls, parts: Sequence[Moments]) -> Moments:
        """Those of all estimates of the parts, as if they had not been parts (Chan, Golub and LeVeque 1979)."""
        count, coded = sum(part.count for part in parts), sum(part.coded for part in parts)
        mean = sum(part.mean * part.count for part in parts) / max(count, 1)
        squares = sum(part.squares + part.count * (part.mean - mean) ** 2 for part in parts)
        return cls(count, mean, squares, sum(part.error * part.coded for part in parts) / max(coded, 1), coded)

    @property
    def kept(self) -> float:
        """The share of an estimate's distance from the mean that is expected of its score.

        An estimate is right on average, but the best of many are those that err upwards. Of scores that are normal
        about their mean, and estimates normal about the scores, the expected score given its estimate is nearer to the
        mean, by the share of the errors in the variance of the estimates (Efron and Morris 1975).
        """
        # three degrees of freedom are lost; and where a few estimates happen to agree, that says little
        return max(_LEAST_KEPT, 1 - self.error * max(self.count - 3, 0) / max(self.squares, 1e-12))

    @property
    def deviation(self) -> float:
        """The standard deviation of scores about what is expected of them."""
        return float(np.sqrt(self.error * self.kept))

    def expected(self, estimates: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores expected of these estimates, in the same order."""
        return self.mean + self.kept * (estimates - self.mean)
