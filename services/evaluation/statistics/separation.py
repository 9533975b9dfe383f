"""How well a score tells two groups apart: AUC and TPR at a low FPR, with intervals and a paired test over clusters.

One convention throughout, that of membership inference: the *lower* score is taken for a positive (a member).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from services.evaluation.statistics.clusters import numbered
from services.evaluation.statistics.draws import rows
from shared.contracts.evaluation import Estimate

RESAMPLES = 1_000
"""Of the bootstrap, as published for membership inference (Duan et al. 2024)."""

ENOUGH = 400
"""Draws of a test as extreme as what was seen: the standard error of its p is then about a twentieth of it."""

_AT_A_TIME = 2_000_000
"""Weights held at a time."""

Array = NDArray[np.float64]

_Statistic = Callable[..., Array]
"""Its last two arguments are weights of the positives and of the negatives, (rows, items): a value each row."""


@dataclass(frozen=True)
class TwoGroups:
    """A score of the positives, (m,), and of the negatives, (n,), and the cluster of each."""

    positives: Array
    negatives: Array
    positive_clusters: NDArray[np.int64]
    negative_clusters: NDArray[np.int64]


def two_groups(
    scores: Sequence[float], positive: Sequence[bool], clusters: Sequence[Hashable] | None = None
) -> TwoGroups | None:
    """The scores by group; None without two groups. Each item is its own cluster without `clusters`."""
    given, inside = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    if inside.all() or not inside.any():
        return None
    where = numbered(clusters if clusters is not None else range(len(given)))
    return TwoGroups(given[inside], given[~inside], where[inside], where[~inside])


def auc(groups: TwoGroups, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The share of pairs of a positive and a negative in which the positive has the lower score, ties by half.

    The area under the ROC curve (Hanley & McNeil 1982), with the percentile bootstrap's interval over clusters: those
    of each group are drawn among themselves, so that no resample lacks a group.
    """
    return _interval(groups, partial(_auc, groups.positives, groups.negatives), resamples, seed)


def tpr(groups: TwoGroups, fpr: float, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The share of positives below the lowest threshold that at most `fpr` of the negatives are below, bootstrapped.

    With fewer than 1 / fpr negatives no false positive is allowed at all: it is then the share of positives below
    every negative. The bootstrap of so extreme a quantile is rough.
    """
    return _interval(groups, partial(_tpr, groups.positives, groups.negatives, fpr=fpr), resamples, seed)


def auc_difference(one: TwoGroups, other: TwoGroups, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """AUC of `one` less that of `other`, of the same items in the same order: the paired bootstrap over clusters."""

    def difference(*weights: Array) -> Array:
        return _auc(one.positives, one.negatives, *weights) - _auc(other.positives, other.negatives, *weights)

    return _interval(one, difference, resamples, seed)


def tpr_difference(
    one: TwoGroups, other: TwoGroups, fpr: float, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """TPR at an FPR of `one` less that of `other`, as `auc_difference`."""

    def difference(*weights: Array) -> Array:
        first = _tpr(one.positives, one.negatives, *weights, fpr=fpr)
        return first - _tpr(other.positives, other.negatives, *weights, fpr=fpr)

    return _interval(one, difference, resamples, seed)


def rank_swap(one: TwoGroups, other: TwoGroups, *, draws: int = 10_000, seed: int = 0) -> float:
    """The two-sided p of equal AUC for the same items scored twice, by swapping the two ranks of whole clusters.

    The permutation test of Bandos, Rockette & Gur (2005), by Monte Carlo: (1 + draws at least as extreme) /
    (1 + draws). It stops early at the draw that is the ENOUGH-th as extreme, p then being ENOUGH over the draws so far
    (Besag & Clifford 1991): a p that is far from small needs no ten thousand. Ranks are over both groups, so that a
    scale or offset that all items share is no difference.
    """
    return _swapped(one, other, _auc, draws, seed)


def tpr_swap(one: TwoGroups, other: TwoGroups, fpr: float, *, draws: int = 10_000, seed: int = 0) -> float:
    """The two-sided p of equal TPR at an FPR, by the same swaps as `rank_swap` but of this statistic.

    Two scores can have the same AUC and find another share at few false alarms, and the other way round.
    """
    return _swapped(one, other, partial(_tpr, fpr=fpr), draws, seed)


def _swapped(one: TwoGroups, other: TwoGroups, statistic: _Statistic, draws: int, seed: int) -> float:
    """The p of a difference of `statistic` between the two, of ranks that are swapped by cluster."""
    (first, first_negative), (second, second_negative) = _ranked(one), _ranked(other)
    found = partial(statistic, np.concatenate([first, second]), np.concatenate([first_negative, second_negative]))
    swapped = np.unique(np.concatenate([one.positive_clusters, one.negative_clusters]), return_inverse=True)[1]

    def differences(flips: Array) -> Array:
        # an item of a swap is two candidates, of which one has weight 1: so every draw is weights of the same
        here, there = flips[:, swapped[: len(first)]], flips[:, swapped[len(first) :]]
        weights = np.hstack([1 - here, here]), np.hstack([1 - there, there])
        against = np.hstack([here, 1 - here]), np.hstack([there, 1 - there])
        return np.abs(found(*weights) - found(*against))

    clusters = int(swapped.max()) + 1
    observed = differences(np.zeros((1, clusters)))[0]
    random, extreme, done = np.random.default_rng(seed), 0, 0
    for some in rows(draws, 2 * len(swapped), _AT_A_TIME, most=1000):
        flips = random.integers(0, 2, size=(some, clusters)).astype(np.float64)
        # the tolerance: equal differences summed in another order differ in their last bits
        counts = extreme + np.cumsum(differences(flips) >= observed - 1e-12)
        if counts[-1] >= ENOUGH:
            return ENOUGH / (done + 1 + int(np.argmax(counts >= ENOUGH)))
        extreme, done = int(counts[-1]), done + some
    return (1 + extreme) / (1 + draws)


def _interval(groups: TwoGroups, statistic: _Statistic, resamples: int, seed: int) -> Estimate:
    random, found = np.random.default_rng(seed), []
    whole = statistic(np.ones((1, len(groups.positives))), np.ones((1, len(groups.negatives))))[0]
    for some in rows(resamples, len(groups.positives) + len(groups.negatives), _AT_A_TIME):
        drawn = (_drawn(one, some, random) for one in (groups.positive_clusters, groups.negative_clusters))
        found.append(statistic(*drawn))
    low, high = np.quantile(np.concatenate(found), [0.025, 0.975])
    return Estimate(mean=float(whole), low=float(low), high=float(high))


def _drawn(clusters: NDArray[np.int64], resamples: int, random: np.random.Generator) -> Array:
    """How often each item was drawn in each of so many resamples of whole clusters, (rows, items)."""
    names, where = np.unique(clusters, return_inverse=True)
    counts = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    weights: Array = counts[:, where].astype(np.float64)
    return weights


def _auc(positives: Array, negatives: Array, of_positives: Array, of_negatives: Array) -> Array:
    """The AUC under each row of weights, (rows,): weighted pairs won, by sums over the sorted negatives."""
    order = np.argsort(negatives, kind="stable")
    below = np.searchsorted(negatives[order], positives, side="left")
    upto = np.searchsorted(negatives[order], positives, side="right")
    sums = _sums(of_negatives[:, order])
    total = sums[:, -1]
    lost = (of_positives * (sums[:, below] + sums[:, upto])).sum(axis=1) / 2
    area: Array = 1 - lost / (of_positives.sum(axis=1) * total)
    return area


def _tpr(positives: Array, negatives: Array, of_positives: Array, of_negatives: Array, *, fpr: float) -> Array:
    """The TPR under each row of weights, (rows,)."""
    order, positive_order = np.argsort(negatives, kind="stable"), np.argsort(positives, kind="stable")
    sums = _sums(of_negatives[:, order])
    # a hair more, since 0.01 * 300 is less than 3 in binary
    allowed = np.floor(fpr * sums[:, -1:] + 1e-9)
    threshold = (sums[:, 1:] > allowed).argmax(axis=1)
    below = np.searchsorted(positives[positive_order], negatives[order], side="left")[threshold]
    found = _sums(of_positives[:, positive_order])
    rate: Array = found[np.arange(len(found)), below] / found[:, -1]
    return rate


def _sums(weights: Array) -> Array:
    return np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, axis=1)], axis=1)


def _ranked(groups: TwoGroups) -> tuple[Array, Array]:
    ranks: NDArray[Any] = rankdata(np.concatenate([groups.positives, groups.negatives]))
    return ranks[: len(groups.positives)], ranks[len(groups.positives) :]
