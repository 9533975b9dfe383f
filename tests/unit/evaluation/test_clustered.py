"""Clustered intervals, tests and corrections, against statsmodels, scipy, enumeration, and closed forms."""

import itertools
import math
import time
import tracemalloc
from unittest.mock import patch

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from services.evaluation.estimates import estimate
from services.evaluation.measured import Scored
from services.evaluation.statistics.clusters import clustered
from services.evaluation.statistics.intervals import bootstrap, proportion, wilson
from services.evaluation.statistics.paired import cluster_flip, holm, mcnemar, sign_flip
from shared.contracts.evaluation import Estimate

CLUSTERED = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.integers(0, 6)), min_size=2, max_size=60)
PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def questions_on_documents(seed: int, documents: int, of_each: int) -> tuple[list[float], list[int]]:
    """Answers that are right more often on some documents than on others."""
    random = np.random.default_rng(seed)
    chances = random.beta(1.2, 1.8, size=documents)
    right = random.random((documents, of_each)) < chances[:, None]
    return [float(one) for one in right.ravel()], [document for document in range(documents) for _ in range(of_each)]


@given(CLUSTERED)
def test_the_design_effect_is_the_ratio_of_statsmodels_clustered_and_plain_variances(
    rows: list[tuple[float, int]],
) -> None:
    values, clusters = [value for value, _ in rows], [cluster for _, cluster in rows]
    found = clustered(values, clusters)
    if len({*clusters}) in (1, len(values)) or len({*values}) == 1:
        return
    fit = sm.OLS(values, np.ones(len(values)))
    robust = fit.fit(cov_type="cluster", cov_kwds={"groups": np.asarray(clusters)}).bse[0] ** 2
    plain = fit.fit(cov_type="HC1").bse[0] ** 2
    assert found.design_effect() == pytest.approx(max(1.0, robust / plain), rel=1e-9)


def test_clusters_of_one_change_nothing() -> None:
    values = [0.0, 1.0, 1.0, 0.0, 1.0]
    assert proportion(values) == proportion(values, list("abcde")) == wilson(3, 5)
    assert bootstrap(values) == bootstrap(values, list("abcde"))


def test_wilson_is_statsmodels() -> None:
    for successes, trials in [(0, 7), (3, 10), (41, 100), (9_999, 10_000)]:
        found = wilson(successes, trials)
        assert (found.low, found.high) == pytest.approx(
            proportion_confint(successes, trials, method="wilson"), abs=1e-9
        )


def test_copies_of_a_question_add_nothing() -> None:
    """Each answer four times over, as one cluster: the interval is that of the answers, but for Student's t."""
    values = [1.0] * 30 + [0.0] * 70
    once, copied = wilson(30, 100), proportion(values * 4, [*range(100)] * 4)
    worth = 100 * (stats.t.ppf(0.975, 399) / stats.t.ppf(0.975, 99)) ** 2 * 99 * 400 / (100 * 399)
    expected = proportion_confint(0.3 * worth, worth, method="wilson")
    assert (copied.low, copied.high) == pytest.approx(expected, abs=2e-4)
    assert once.low > copied.low > once.low - 0.004


def test_all_right_in_few_clusters_is_no_surer_than_so_many_questions() -> None:
    assert proportion([1.0] * 40, [place // 10 for place in range(40)]).low <= wilson(4, 4).low
    assert proportion([1.0] * 40, ["one"] * 40).low == pytest.approx(wilson(1, 1).low)


def test_a_clustered_interval_covers_as_often_as_it_says_and_a_plain_one_does_not() -> None:
    truth = 1.2 / 3
    drawn = [questions_on_documents(seed, 60, 8) for seed in range(400)]
    by_cluster = [proportion(values, clusters) for values, clusters in drawn]
    resampled = [bootstrap(values, clusters, resamples=1000) for values, clusters in drawn[:200]]
    plain = [wilson(round(sum(values)), len(values)) for values, _ in drawn]
    assert 0.92 <= np.mean([one.low <= truth <= one.high for one in by_cluster]) <= 0.98
    assert 0.90 <= np.mean([one.low <= truth <= one.high for one in resampled]) <= 0.98
    assert np.mean([one.low <= truth <= one.high for one in plain]) < 0.85


def test_the_cluster_bootstrap_agrees_with_drawing_the_clusters_themselves() -> None:
    random = np.random.default_rng(5)
    sizes = random.integers(1, 9, size=40)
    groups = [random.normal(random.normal(), 0.3, size=size) for size in sizes]
    values = [float(one) for group in groups for one in group]
    clusters = [place for place, group in enumerate(groups) for _ in group]
    means = []
    for _ in range(6000):
        drawn = random.integers(0, 40, size=40)
        means.append(np.concatenate([groups[place] for place in drawn]).mean())
    found = bootstrap(values, clusters)
    assert [found.low, found.high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02)
    assert found.mean == pytest.approx(np.mean(values))


def test_the_bootstrap_is_scipys() -> None:
    values = np.random.default_rng(2).beta(0.4, 0.7, size=120)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(3)).confidence_interval
    found = bootstrap([float(one) for one in values])
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 9))
def test_mcnemar_is_statsmodels_and_so_is_the_flip_of_pairs_that_are_their_own_clusters(
    first: int, second: int, ties: int
) -> None:
    theirs = their_mcnemar([[0, first], [second, 0]], exact=True).pvalue if first + second else 1.0
    differences = [1.0] * first + [-1.0] * second + [0.0] * ties
    assert mcnemar(first, second) == pytest.approx(theirs)
    assert cluster_flip(differences, range(len(differences))) == pytest.approx(theirs, rel=1e-9)


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 1.0]), st.integers(0, 5)), min_size=1, max_size=24))
def test_a_cluster_flip_agrees_with_all_the_flips_there_are(rows: list[tuple[float, int]]) -> None:
    differences, clusters = [value for value, _ in rows], [cluster for _, cluster in rows]
    sums = [sum(value for value, one in rows if one == cluster) for cluster in sorted({*clusters})]
    observed = abs(sum(sums))
    flips = list(itertools.product((-1, 1), repeat=len(sums)))
    exact = sum(abs(sum(map(math.prod, zip(signs, sums, strict=True)))) >= observed for signs in flips) / len(flips)
    assert cluster_flip(differences, clusters) == pytest.approx(exact)
    assert sign_flip(differences, clusters) == pytest.approx(exact)


def test_a_test_that_knows_of_clusters_keeps_its_level_and_mcnemar_does_not() -> None:
    random = np.random.default_rng(11)
    clusters = [document for document in range(40) for _ in range(8)]
    false_alarms = {"clusters": 0, "pairs": 0}
    for _ in range(300):
        # no setting is better, but on a document one of them is right for all of its questions
        leaning = random.choice([-1.0, 1.0], size=40)
        differences = [float(leaning[document] * (random.random() < 0.5)) for document in clusters]
        false_alarms["clusters"] += cluster_flip(differences, clusters) < 0.05
        false_alarms["pairs"] += mcnemar(differences.count(1.0), differences.count(-1.0)) < 0.05
    assert false_alarms["clusters"] / 300 <= 0.08
    assert false_alarms["pairs"] / 300 > 0.3


@given(PROBABILITIES)
def test_holm_is_statsmodels(probabilities: list[float]) -> None:
    # statsmodels collects all garbage at every call, which took nearly all of this test's time
    with patch("gc.collect"):
        theirs = multipletests(probabilities, method="holm")[1]
    assert holm(probabilities) == pytest.approx(list(theirs), abs=1e-12)


def test_nothing_to_correct_is_nothing() -> None:
    assert holm([]) == []
    assert holm([0.03]) == [0.03]


def test_ten_thousand_distinct_values_take_neither_long_nor_much_memory() -> None:
    values = [float(one) for one in np.random.default_rng(0).normal(size=10_000)]
    tracemalloc.start()
    began = time.perf_counter()
    interval, p = bootstrap(values), sign_flip(values)
    seconds, (_, most) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    half = 1.96 / math.sqrt(10_000)
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.15)
    assert 0 < p <= 1
    assert most < 150e6
    assert seconds < 20


def test_a_sign_flips_p_does_not_depend_on_the_unit() -> None:
    differences = np.random.default_rng(3).normal(0.8, 1, 30)
    whole = sign_flip(differences.tolist())
    assert whole < 0.01
    assert sign_flip((differences * 1e-12).tolist()) == sign_flip((differences * 1e12).tolist()) == whole


def test_a_mean_of_zeros_or_ones_alone_is_no_certainty() -> None:
    scored = [Scored(str(n), str(n), b"", {"pass@1": 0.0, "tokens": 7.0}) for n in range(6)]
    found = estimate(scored, "pass@1", "mean")
    assert found == wilson(0, 6)
    assert estimate(scored, "tokens", "mean") == Estimate(mean=7.0, low=7.0, high=7.0)


def test_a_share_or_a_change_of_six_seeds_that_is_zero_in_all_is_no_proportion_of_six() -> None:
    scored = [Scored(str(n), str(n), b"", {"gain": 0.0, "code": 1.0}) for n in range(6)]
    assert estimate(scored, "gain", "continuous") == Estimate(mean=0.0, low=0.0, high=0.0)
    assert estimate(scored, "code", "continuous") == Estimate(mean=1.0, low=1.0, high=1.0)
