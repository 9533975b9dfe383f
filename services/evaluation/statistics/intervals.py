"""95% intervals of a mean: Wilson's for proportions, the percentile bootstrap for anything else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from shared.contracts.evaluation import Estimate

Z95 = 1.959963984540054
"""The 97.5% quantile of the standard normal distribution."""

RESAMPLES = 10_000


def wilson(successes: int, trials: int) -> Estimate:
    """Wilson's score interval (Wilson 1927) of a proportion. Raises ValueError without trials."""
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes of {trials} trials are no proportion")
    mean, z2 = successes / trials, Z95 * Z95
    centre = (mean + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 * math.sqrt(mean * (1 - mean) / trials + z2 / (4 * trials * trials)) / (1 + z2 / trials)
    # min and max: at 0 and at all successes the bound is the mean itself, but for rounding
    return Estimate(mean=mean, low=min(mean, max(0.0, centre - half)), high=max(mean, min(1.0, centre + half)))


def bootstrap(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The percentile bootstrap interval (Efron 1979) of the mean of `values`. Raises ValueError for none.

    Drawing n values with replacement is drawing from a multinomial over the distinct values: the same
    distribution, in memory of resamples x distinct values. Of paired differences this is the paired bootstrap.
    """
    if len(values) == 0:
        raise ValueError("no values have no mean")
    distinct, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    total = int(counts.sum())
    draws = np.random.default_rng(seed).multinomial(total, counts / total, size=resamples)
    low, high = np.quantile(draws @ distinct / total, [0.025, 0.975])
    return Estimate(mean=float(counts @ distinct / total), low=float(low), high=float(high))
