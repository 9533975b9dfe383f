"""How often the intervals of a report hold the truth, of few items and of few clusters: docs/evaluation.md has a table.

As a program it makes that table, of more draws: `python -m tests.unit.evaluation.test_coverage`.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from services.evaluation.cautions import FEWEST
from services.evaluation.statistics.intervals import bootstrap, proportion, wilson
from services.evaluation.statistics.separation import auc, two_groups
from shared.contracts.evaluation import Estimate

Random = np.random.Generator


def clustered(random: Random, clusters: int) -> tuple[list[float], list[int]]:
    """Answers to 1 to 15 questions on each document, right more often on some than on others; 0.4 in the mean."""
    chances, sizes = random.beta(1.2, 1.8, clusters), random.integers(1, 16, clusters)
    values = [float(random.random() < chances[place]) for place in range(clusters) for _ in range(sizes[place])]
    return values, [place for place in range(clusters) for _ in range(sizes[place])]


def of_share(random: Random, clusters: int) -> Estimate:
    """Wilson's, over clusters."""
    return proportion(*clustered(random, clusters))


def of_clustered_mean(random: Random, clusters: int) -> Estimate:
    """The bootstrap's of the same answers, which it would have if one of them were 0.5."""
    return bootstrap(*clustered(random, clusters), resamples=500)


def of_f1(random: Random, count: int) -> Estimate:
    """The bootstrap's of scores that are half zeros, some ones, and else between; 0.29 in the mean."""
    place = random.random(count)
    values = np.where(place < 0.5, 0.0, np.where(place < 0.65, 1.0, random.beta(2, 3, count)))
    return bootstrap(values.tolist(), resamples=500)


def of_difference(random: Random, clusters: int) -> Estimate:
    """The paired bootstrap's of three questions on each document, changed by 0.5 and by what its document has of it."""
    changes = random.normal(0.5, 1, clusters)[:, None] + random.normal(0, 1, (clusters, 3))
    return bootstrap(changes.ravel().tolist(), [place for place in range(clusters) for _ in range(3)], resamples=500)


def of_auc(random: Random, count: int) -> Estimate:
    """The bootstrap's of so many members and as many others, one standard deviation apart."""
    scores = random.normal(0, 1, 2 * count) - np.repeat([1.0, 0.0], count)
    found = two_groups(scores.tolist(), [place < count for place in range(2 * count)])
    assert found is not None
    return auc(found, resamples=250)


Interval = Callable[[Random, int], Estimate]
TRUTHS: dict[Interval, float] = {
    of_share: 0.4,
    of_clustered_mean: 0.4,
    of_f1: 0.15 + 0.35 * 0.4,
    of_difference: 0.5,
    of_auc: float(stats.norm.cdf(1 / math.sqrt(2))),
}


def coverage(interval: Interval, count: int, draws: int) -> float:
    random = np.random.default_rng(count)
    found = [interval(random, count) for _ in range(draws)]
    return float(np.mean([one.low <= TRUTHS[interval] <= one.high for one in found]))


@pytest.mark.parametrize("clusters", [3, 5, FEWEST, 30])
def test_wilsons_interval_holds_a_share_of_few_clusters(clusters: int) -> None:
    assert coverage(of_share, clusters, 300) >= 0.90


@pytest.mark.parametrize("trials", [5, FEWEST, 30, 100])
def test_wilsons_interval_holds_a_share_about_as_often_as_it_says_whatever_it_is(trials: int) -> None:
    """Exactly, over all outcomes: in the mean over the shares from 0.05 to 0.95."""
    intervals = [wilson(successes, trials) for successes in range(trials + 1)]
    held = []
    for share in np.linspace(0.05, 0.95, 91):
        inside = [successes for successes, one in enumerate(intervals) if one.low <= share <= one.high]
        held.append(float(stats.binom.pmf(inside, trials, share).sum()))
    assert 0.94 <= np.mean(held) <= 0.98
    assert min(held) > 0.82


@pytest.mark.parametrize("interval", [of_clustered_mean, of_f1, of_difference, of_auc])
def test_the_bootstraps_interval_is_too_narrow_of_few_and_near_what_it_says_of_many(interval: Interval) -> None:
    """Which is what the report warns of below FEWEST."""
    # bounds of three standard errors of so few draws; the table has the figures
    assert coverage(interval, 5, 200) < 0.92
    assert 0.81 <= coverage(interval, FEWEST, 200) <= 0.96
    assert 0.87 <= coverage(interval, 30, 200) <= 0.98


if __name__ == "__main__":
    for measured in TRUTHS:
        for size in (3, 5, 10, 20, 30, 100):
            print(measured.__name__, size, f"{coverage(measured, size, 3000):.3f}", flush=True)
