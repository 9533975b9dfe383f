"""Two-sided tests of a paired difference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


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
    return min(1.0, probability)


def sign_flip(differences: Sequence[float], *, draws: int = 10_000, seed: int = 0) -> float:
    """The p of the randomisation test that flips the signs of paired differences (Fisher 1935), by Monte Carlo.

    (1 + draws at least as extreme) / (1 + draws), which is never 0 and keeps the level exactly. Differences that
    share a size are flipped together by one binomial draw. No differences, or only zeros, give 1.0.
    """
    sizes, counts = np.unique(np.abs(np.asarray(differences, dtype=np.float64)), return_counts=True)
    observed = abs(math.fsum(differences))
    positive = np.random.default_rng(seed).binomial(counts, 0.5, size=(draws, len(counts)))
    sums = np.abs((2 * positive - counts) @ sizes)
    # the tolerance: equal sums taken in another order differ in their last bits
    extreme = int((sums >= observed - 1e-9 * max(1.0, observed)).sum())
    return (1 + extreme) / (1 + draws)
