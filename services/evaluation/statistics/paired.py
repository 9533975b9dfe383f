"""Two-sided tests of a paired difference, and Holm's correction for how many were made."""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable, Sequence

import numpy as np

from services.evaluation.statistics.clusters import clustered
from services.evaluation.statistics.draws import rows

_AT_A_TIME = 500_000
"""Signs held at a time."""

_SMALLEST = sys.float_info.min
"""An exact p below it is given as this: no test has p = 0."""


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact McNemar test (McNemar 1947): two-sided binomial p of the discordant pairs under one half.

    `only_first` counts the pairs in which only the first succeeded. In integers of any size, so that thousands of
    pairs neither overflow nor lose digits.
    """
    discordant, term, tail = only_first + only_second, 1, 0
    for count in range(min(only_first, only_second) + 1):
        # term is the binomial coefficient of count: one from the other is far cheaper than each from scratch
        tail += term
        term = term * (discordant - count) // (count + 1)
    probability: float = 2 * tail / 2**discordant
    return min(1.0, max(_SMALLEST, probability))


def sign_flip(
    differences: Sequence[float], clusters: Sequence[Hashable] | None = None, *, draws: int = 10_000, seed: int = 0
) -> float:
    """The p of the randomisation test that flips the signs of paired differences (Fisher 1935).

    The share of flips that are at least as extreme: of all there are where those are no more than `draws`, else by
    Monte Carlo, (1 + draws at least as extreme) / (1 + draws). Neither is ever 0, and both keep the level exactly. The
    differences of a cluster are flipped together. No differences, or only zeros, give 1.0.
    """
    if len(differences) == 0:
        return 1.0
    sums = np.abs(clustered(differences, clusters).sums)
    # a zero is the same whatever its sign
    sums = sums[sums > 0]
    observed = abs(math.fsum(differences))
    # the tolerance: equal sums taken in another order differ in their last bits
    bound = observed - 1e-9 * float(sums.sum())
    if 2 ** len(sums) <= draws:
        flips = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        return float((np.abs((2.0 * flips - 1.0) @ sums) >= bound).mean())
    random, extreme = np.random.default_rng(seed), 0
    for some in rows(draws, len(sums), _AT_A_TIME):
        signs = 2.0 * random.integers(0, 2, size=(some, len(sums)), dtype=np.int8) - 1.0
        extreme += int((np.abs(signs @ sums) >= bound).sum())
    return (1 + extreme) / (1 + draws)


def cluster_flip(differences: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """The same test of whole differences (of zeros and ones), over every flip there is: McNemar's for clusters.

    When every pair is a cluster of its own, it is `mcnemar`. The flips' sums are the convolution, over the sizes of
    the clusters' sums, of binomial distributions.
    """
    if len(differences) == 0:
        return 1.0
    sums = np.rint(clustered(differences, clusters).sums).astype(np.int64)
    observed = abs(int(sums.sum()))
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    # the sum of flips is 2 * shifted - total; shifted is a sum of size * binomial(count, 1/2)
    shifted = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        spread = np.zeros(size * count + 1)
        spread[::size] = _coin_flips(count)
        shifted = np.convolve(shifted, spread)
    total = int(np.abs(sums).sum())
    outcomes = np.abs(2 * np.arange(total + 1) - total)
    return min(1.0, max(_SMALLEST, float(shifted[outcomes >= observed].sum())))


def holm(probabilities: Sequence[float]) -> list[float]:
    """The adjusted p of each of several tests (Holm 1979): below the level, the family-wise error is too.

    The i-th smallest of m (from 0) is multiplied by m - i, and is no smaller than the one before it.
    """
    order = sorted(range(len(probabilities)), key=lambda place: probabilities[place])
    adjusted, largest = [0.0] * len(order), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * probabilities[place]))
        adjusted[place] = largest
    return adjusted


def _coin_flips(count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Binomial(count, 1/2) as probabilities of 0 to count."""
    half = [math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) for k in range(count + 1)]
    return np.exp(np.asarray(half) - count * math.log(2))
