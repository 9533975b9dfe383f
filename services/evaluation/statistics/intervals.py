"""95% intervals of a mean, over clusters: Wilson's for proportions, the percentile bootstrap for anything else."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from scipy.special import stdtrit

from services.evaluation.statistics.clusters import clustered
from shared.contracts.evaluation import Estimate

Z95 = 1.959963984540054
"""The 97.5% quantile of the standard normal distribution."""

RESAMPLES, FEWEST_RESAMPLES, MOST_DRAWS = 10_000, 1_000, 20_000_000
"""The bootstrap's resamples: fewer for so many clusters that all draws together would be more than the last."""

_AT_A_TIME = 500_000
"""Draws held at a time: memory is the same for any number of values."""


def wilson(successes: int, trials: int) -> Estimate:
    """Wilson's score interval (Wilson 1927) of a proportion. Raises ValueError without trials."""
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes of {trials} trials are no proportion")
    return _score_interval(successes / trials, trials)


def proportion(values: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Estimate:
    """Wilson's interval of the mean of zeros and ones, for the number of independent values that clusters are worth.

    That number is n / design effect, and smaller by (t(n - 1) / t(G - 1))^2 for G clusters, whose variance is itself
    an estimate (Korn & Graubard 1998; for Wilson's interval Dean & Pagano 2015). Without clusters it is n. Raises
    ValueError for no values and for values that are not zeros and ones.
    """
    found = clustered(values, clusters)
    if not {*np.unique(np.asarray(values, dtype=np.float64))} <= {0.0, 1.0}:
        raise ValueError("a proportion is a mean of zeros and ones")
    if found.single:
        return wilson(round(float(found.sums.sum())), found.count)
    worth = found.count / found.design_effect()
    if (groups := len(found.sizes)) > 1:
        worth *= (stdtrit(found.count - 1, 0.975) / stdtrit(groups - 1, 0.975)) ** 2
    return _score_interval(found.mean, max(1.0, worth))


def interval(
    values: Sequence[float], clusters: Sequence[Hashable] | None = None, *, resamples: int = RESAMPLES
) -> Estimate:
    """Wilson's where all values are zeros and ones, else the bootstrap. Raises ValueError for none.

    Also of a mean that happens to be of zeros and ones: resamples of equal values are all equal, and would say that
    six failures leave no doubt.
    """
    if {*values} <= {0.0, 1.0}:
        return proportion(values, clusters)
    return bootstrap(values, clusters, resamples=resamples)


def bootstrap(
    values: Sequence[float], clusters: Sequence[Hashable] | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The percentile bootstrap interval (Efron 1979) of the mean of `values`. Raises ValueError for none.

    Whole clusters are drawn (Field & Welsh 2007): of paired differences this is the paired bootstrap.
    """
    found = clustered(values, clusters)
    groups = len(found.sizes)
    resamples = min(resamples, max(FEWEST_RESAMPLES, MOST_DRAWS // groups))
    random, even = np.random.default_rng(seed), bool((found.sizes == found.sizes[0]).all())
    means = np.empty(resamples)
    rows = max(1, _AT_A_TIME // groups)
    for start in range(0, resamples, rows):
        stop = min(start + rows, resamples)
        drawn = random.integers(0, groups, size=(stop - start, groups), dtype=np.int32)
        sizes = groups * found.sizes[0] if even else found.sizes[drawn].sum(axis=1)
        means[start:stop] = found.sums[drawn].sum(axis=1) / sizes
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(mean=found.mean, low=float(low), high=float(high))


def _score_interval(mean: float, trials: float) -> Estimate:
    z2 = Z95 * Z95
    centre = (mean + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 * math.sqrt(mean * (1 - mean) / trials + z2 / (4 * trials * trials)) / (1 + z2 / trials)
    # min and max: at 0 and at all successes the bound is the mean itself, but for rounding
    return Estimate(mean=mean, low=min(mean, max(0.0, centre - half)), high=max(mean, min(1.0, centre + half)))
