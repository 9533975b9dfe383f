"""Values summed by cluster: questions on one document are not independent, their clusters are."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Clustered:
    """Sum and number of the values of each cluster, in the order in which the clusters first come.

    `sums` and `sizes` are float64 of shape (clusters,); `squares` is the sum of the squared deviations of the single
    values from their mean.
    """

    sums: NDArray[np.float64]
    sizes: NDArray[np.float64]
    squares: float

    @property
    def count(self) -> int:
        """How many values there are."""
        return int(self.sizes.sum())

    @property
    def mean(self) -> float:
        """The mean of the values: large clusters count for more."""
        return float(self.sums.sum() / self.sizes.sum())

    @property
    def single(self) -> bool:
        """Whether every value is a cluster of its own."""
        return self.count == len(self.sizes)

    def design_effect(self) -> float:
        """How many times larger the variance of the mean is than that of as many independent values (Kish 1965).

        The variance is the linearised (sandwich) estimator of a ratio of cluster totals, with its factor of
        G / (G - 1). It is at least 1: that clusters make the mean surer is taken for chance. With one cluster, or
        values that are all equal, there is nothing to estimate it from, and it is the largest there can be:
        that of clusters whose values are all alike.
        """
        clusters, count = len(self.sizes), self.count
        if self.single:
            return 1.0
        if clusters == 1 or self.squares <= 1e-12:
            return float((self.sizes**2).sum() / count)
        between = float(((self.sums - self.mean * self.sizes) ** 2).sum()) * clusters / (clusters - 1)
        return max(1.0, between / (self.squares * count / (count - 1)))


def clustered(values: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Clustered:
    """The values by cluster; each one its own without `clusters`. Raises ValueError for none."""
    if len(values) == 0:
        raise ValueError("no values have no mean")
    given = np.asarray(values, dtype=np.float64)
    squares = float(((given - given.mean()) ** 2).sum())
    if clusters is None:
        return Clustered(given, np.ones_like(given), squares)
    where = numbered(clusters)
    sums = np.bincount(where, weights=given).astype(np.float64)
    return Clustered(sums, np.bincount(where).astype(np.float64), squares)


def numbered(clusters: Sequence[Hashable]) -> NDArray[np.int64]:
    """The number of each value's cluster, (values,), in the order in which the clusters first come."""
    places: dict[Hashable, int] = {}
    return np.fromiter((places.setdefault(one, len(places)) for one in clusters), dtype=np.int64, count=len(clusters))
