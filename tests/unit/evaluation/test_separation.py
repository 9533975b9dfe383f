"""AUC, TPR at a low FPR and their paired test, against scikit-learn, scipy, enumeration and closed forms."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from services.evaluation.estimates import Pair, difference, estimate, paired
from services.evaluation.measured import Scored
from services.evaluation.statistics.separation import (
    TwoGroups,
    auc,
    auc_difference,
    rank_swap,
    tpr,
    tpr_difference,
    tpr_swap,
    two_groups,
)
from services.evaluation.suites.base import Separation

SCORES = st.integers(-3, 3).map(float)
GROUPS = st.tuples(st.lists(SCORES, min_size=1, max_size=12), st.lists(SCORES, min_size=1, max_size=12))


def grouped(positives: Sequence[float], negatives: Sequence[float], clusters: Sequence[int] | None = None) -> TwoGroups:
    inside = [True] * len(positives) + [False] * len(negatives)
    found = two_groups([*positives, *negatives], inside, clusters)
    assert found is not None
    return found


def normal(seed: int, positives: int, negatives: int, shift: float) -> tuple[list[float], list[float]]:
    random = np.random.default_rng(seed)
    return random.normal(-shift, 1, positives).tolist(), random.normal(0, 1, negatives).tolist()


@given(GROUPS)
def test_the_auc_is_scikit_learns_of_the_negated_score_and_the_mann_whitney_statistic(
    scores: tuple[list[float], list[float]],
) -> None:
    positives, negatives = scores
    found = auc(grouped(positives, negatives), resamples=10).mean
    labels = [1] * len(positives) + [0] * len(negatives)
    assert found == pytest.approx(roc_auc_score(labels, [-one for one in [*positives, *negatives]]))
    u = stats.mannwhitneyu(negatives, positives).statistic
    assert found == pytest.approx(u / (len(positives) * len(negatives)))


@given(GROUPS, st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.25, 0.5]))
def test_the_tpr_is_the_highest_on_scikit_learns_curve_with_no_more_than_that_fpr(
    scores: tuple[list[float], list[float]], fpr: float
) -> None:
    positives, negatives = scores
    labels = [1] * len(positives) + [0] * len(negatives)
    rates, found, _ = roc_curve(labels, [-one for one in [*positives, *negatives]], drop_intermediate=False)
    assert tpr(grouped(positives, negatives), fpr, resamples=10).mean == pytest.approx(found[rates <= fpr].max())


def test_a_threshold_at_exactly_one_in_a_hundred_allows_one_false_positive() -> None:
    negatives = [float(place) for place in range(300)]
    # three negatives are below 2.5, and 0.01 * 300 is 3
    assert tpr(grouped([2.5, 3.5], negatives), 0.01, resamples=10).mean == 0.5


def test_the_interval_is_that_of_a_direct_bootstrap() -> None:
    positives, negatives = normal(1, 40, 60, 0.6)
    found = auc(grouped(positives, negatives), resamples=4000)
    random, direct = np.random.default_rng(7), []
    for _ in range(4000):
        first, second = random.choice(positives, len(positives)), random.choice(negatives, len(negatives))
        direct.append(float((first[:, None] < second[None, :]).mean()))
    assert [found.low, found.high] == pytest.approx(np.quantile(direct, [0.025, 0.975]), abs=0.01)
    assert found.low < found.mean < found.high


def test_the_interval_covers_the_true_auc_about_as_often_as_it_says() -> None:
    truth = float(stats.norm.cdf(1 / np.sqrt(2)))
    intervals = [auc(grouped(*normal(seed, 40, 40, 1.0)), resamples=500) for seed in range(200)]
    covered = sum(one.low <= truth <= one.high for one in intervals)
    assert 0.89 <= covered / 200 <= 0.99


def test_items_of_one_cluster_are_drawn_together() -> None:
    positives, negatives = normal(3, 20, 20, 0.5)
    alone = auc(grouped(positives, negatives))
    copies = [place for place in range(40) for _ in range(9)]
    copied = auc(grouped(np.repeat(positives, 9).tolist(), np.repeat(negatives, 9).tolist(), copies))
    assert copied.model_dump() == pytest.approx(alone.model_dump())


def test_no_separation_and_full_separation_are_one_half_and_one() -> None:
    assert auc(grouped([1.0] * 5, [1.0] * 7)).mean == 0.5
    assert auc(grouped([1.0] * 5, [2.0] * 7)).model_dump() == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert tpr(grouped([1.0] * 5, [2.0] * 7), 0.001).mean == 1.0
    assert two_groups([1.0, 2.0], [True, True]) is None
    assert two_groups([], []) is None


def test_a_paired_difference_is_narrower_than_two_intervals_and_zero_of_the_same() -> None:
    positives, negatives = normal(5, 50, 50, 1.0)
    one = grouped(positives, negatives)
    noise = np.random.default_rng(9).normal(0, 0.05, 100)
    other = grouped((np.array(positives) + noise[:50]).tolist(), (np.array(negatives) + noise[50:]).tolist())
    found = auc_difference(one, other)
    assert found.mean == pytest.approx(auc(one).mean - auc(other).mean)
    assert found.high - found.low < 0.3 * (auc(one).high - auc(one).low)
    assert auc_difference(one, one).model_dump() == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert tpr_difference(one, other, 0.1).mean == pytest.approx(tpr(one, 0.1).mean - tpr(other, 0.1).mean)


def _area(members: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """By counting pairs."""
    before, after = members[:, None], others[None, :]
    return float(((before < after) + 0.5 * (before == after)).mean())


def _share(members: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Of the members, those below the second lowest of the others: at a false alarm rate that allows one."""
    return float((members < np.sort(others)[1]).mean())


def _exact_swap(
    one: TwoGroups, other: TwoGroups, of: Callable[[NDArray[np.float64], NDArray[np.float64]], float] = _area
) -> float:
    """Every swap of single items."""
    first = stats.rankdata(np.concatenate([one.positives, one.negatives]))
    second = stats.rankdata(np.concatenate([other.positives, other.negatives]))
    count = len(one.positives)

    def difference(here: NDArray[np.float64], there: NDArray[np.float64]) -> float:
        return abs(of(here[:count], here[count:]) - of(there[:count], there[count:]))

    observed, extreme = difference(first, second), 0
    for swaps in itertools.product([False, True], repeat=len(first)):
        here, there = np.where(swaps, second, first), np.where(swaps, first, second)
        extreme += int(difference(here, there) >= observed - 1e-12)
    return extreme / float(2 ** len(first))


@pytest.mark.parametrize("seed", range(6))
def test_the_swap_test_is_close_to_the_enumeration_of_all_swaps(seed: int) -> None:
    random = np.random.default_rng(seed)
    one = grouped(random.normal(-1.5, 1, 5).tolist(), random.normal(0, 1, 5).tolist())
    other = grouped(random.normal(0, 1, 5).tolist(), random.normal(0, 1, 5).tolist())
    exact = _exact_swap(one, other)
    # four standard errors of a test that stops early, and two draws in ten thousand
    assert rank_swap(one, other) == pytest.approx(exact, rel=0.2, abs=0.0002)
    exact = _exact_swap(one, other, of=_share)
    assert tpr_swap(one, other, 0.2) == pytest.approx(exact, rel=0.2, abs=0.0002)


def test_a_tpr_is_tested_by_swaps_of_its_own_and_not_by_those_of_the_auc() -> None:
    """A fifth of the members is known by heart in one setting; in the other all are a little likelier."""
    random = np.random.default_rng(4)
    others, members = random.normal(0, 1, 100), random.normal(0, 1, 100)
    few = grouped(np.where(np.arange(100) < 20, members - 6, members).tolist(), others.tolist())
    all_a_little = grouped((members - 0.35).tolist(), (others + random.normal(0, 0.1, 100)).tolist())
    assert tpr(few, 0.01).mean - tpr(all_a_little, 0.01).mean > 0.15
    assert rank_swap(few, all_a_little) > 0.3
    assert tpr_swap(few, all_a_little, 0.01) < 0.01
    # and where the AUC differs, the share found at few false alarms need not
    none = grouped(np.maximum(members, others.min()).tolist(), others.tolist())
    all_better = grouped(np.maximum(members - 1, others.min()).tolist(), others.tolist())
    assert rank_swap(none, all_better) < 0.001
    assert tpr_swap(none, all_better, 0.001) == 1.0


def test_a_cluster_is_swapped_whole() -> None:
    """Four members on one document, found in one setting only: of two documents no swap can say anything."""
    one = grouped([0.0] * 4, [1.0] * 4, [0, 0, 0, 0, 1, 1, 1, 1])
    other = grouped([1.0] * 4, [0.0] * 4, [0, 0, 0, 0, 1, 1, 1, 1])
    assert rank_swap(one, other) >= 0.4
    assert tpr_swap(one, other, 0.01) >= 0.4
    alone = grouped([0.0] * 4, [1.0] * 4), grouped([1.0] * 4, [0.0] * 4)
    assert tpr_swap(*alone, 0.01) < 0.1


def test_the_swap_test_sees_no_difference_in_a_scale_that_all_items_share() -> None:
    positives, negatives = normal(2, 20, 20, 1.0)
    other = grouped([3 * one + 5 for one in positives], [3 * one + 5 for one in negatives])
    assert rank_swap(grouped(positives, negatives), other) == 1.0


def test_the_tprs_swap_test_rejects_no_more_often_than_its_level_when_nothing_differs() -> None:
    random, probabilities = np.random.default_rng(8), []
    for _ in range(150):
        first, second = (random.normal(0, 1, 80) - np.repeat([0.8, 0.0], 40) for _ in range(2))
        scores = [grouped(one[:40].tolist(), one[40:].tolist()) for one in (first, second)]
        probabilities.append(tpr_swap(scores[0], scores[1], 0.05, draws=300))
    assert sum(p <= 0.05 for p in probabilities) <= 14


def test_the_swap_test_rejects_no_more_often_than_its_level_when_nothing_differs() -> None:
    probabilities = [
        rank_swap(grouped(*normal(seed, 15, 15, 0.5)), grouped(*normal(900 + seed, 15, 15, 0.5)), draws=400)
        for seed in range(200)
    ]
    assert sum(p <= 0.05 for p in probabilities) <= 18
    assert float(np.mean(probabilities)) == pytest.approx(0.5, abs=0.07)


AUC = Separation("loss", "member")


def scored(place: int, loss: float, *, member: bool) -> Scored:
    return Scored(f"q{place}", f"q{place}", b"", {"loss": loss, "member": float(member)})


def test_a_metric_over_two_groups_is_estimated_compared_and_tested_like_any_other() -> None:
    members, others = normal(4, 30, 30, 1.5)
    one = [scored(place, loss, member=place < 30) for place, loss in enumerate([*members, *others])]
    other = [scored(place, loss, member=place < 30) for place, loss in enumerate([*others, *members])]
    found = estimate(one, "auc_loss", AUC)
    assert found is not None
    assert found.mean == pytest.approx(auc(grouped(members, others)).mean)
    both = [Pair(first, second) for first, second in zip(one, other, strict=True)]
    between = paired(both, "auc_loss", AUC)
    assert between is not None
    assert (between.items, between.clusters, between.test) == (60, 60, "rank_swap")
    assert between.difference.mean == pytest.approx(2 * found.mean - 1)
    assert between.p < 0.001
    at = Separation("loss", "member", 0.1)
    found, between = estimate(one, "tpr", at), paired(both, "tpr", at)
    assert found is not None
    assert found.mean == pytest.approx(tpr(grouped(members, others), 0.1).mean)
    assert between is not None
    assert (between.test, between.p) == (
        "tpr_swap",
        tpr_swap(grouped(members, others, range(60)), grouped(others, members, range(60)), 0.1),
    )


def test_one_group_alone_has_no_such_metric() -> None:
    members = [scored(place, 1.0, member=True) for place in range(5)]
    both = [Pair(one, one) for one in members]
    assert estimate(members, "auc_loss", AUC) is None
    assert difference(both, "auc_loss", AUC) is None
    assert paired(both, "auc_loss", AUC) is None
    assert estimate([Scored("q", "q", b"", {})], "auc_loss", AUC) is None
