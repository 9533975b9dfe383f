"""How much one model is better than another on the same documents or questions, with paired bootstrap intervals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.model.flexolmo.perplexity import RESAMPLES, Change, Scores


def mean_change(before: Sequence[Scores], after: Sequence[Scores]) -> Change:
    """The geometric mean over several texts of the relative change of perplexity; every text weighs the same.

    The interval (95%) resamples the documents of each text, paired.
    """
    random = np.random.default_rng(0)
    points, resampled = [], []
    for one, other in zip(before, after, strict=True):
        if not np.array_equal(one.tokens, other.tokens):
            raise ValueError("The two models did not score the same documents.")
        difference, tokens = other.nll - one.nll, one.tokens
        draws = random.integers(0, len(tokens), (RESAMPLES, len(tokens)))
        points.append(difference.sum() / tokens.sum())
        resampled.append(difference[draws].sum(1) / tokens[draws].sum(1))
    low, high = np.expm1(np.quantile(np.mean(resampled, axis=0), [0.025, 0.975]))
    return Change(float(np.expm1(np.mean(points))), float(low), float(high))


def accuracy_change(before: NDArray[np.float64], after: NDArray[np.float64]) -> Change:
    """The difference of two models' accuracies on the same questions, (items,) of 0 and 1; +0.1 is ten points."""
    difference = after - before
    draws = np.random.default_rng(0).integers(0, len(difference), (RESAMPLES, len(difference)))
    low, high = np.quantile(difference[draws].mean(1), [0.025, 0.975])
    return Change(float(difference.mean()), float(low), float(high))
