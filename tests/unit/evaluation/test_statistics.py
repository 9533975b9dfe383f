"""Intervals and tests against closed forms, enumeration, and second implementations."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.evaluation.statistics.intervals import Z95, bootstrap, wilson
from services.evaluation.statistics.paired import cluster_flip, mcnemar, sign_flip

COUNTS = st.integers(1, 3000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))
SMALL = st.lists(st.sampled_from([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=9)


@given(COUNTS)
def test_wilsons_bounds_are_the_proportions_at_which_the_score_test_just_rejects(counts: tuple[int, int]) -> None:
    successes, trials = counts
    interval = wilson(successes, trials)
    for bound in {interval.low, interval.high} - {0.0, 1.0}:
        statistic = abs(successes / trials - bound) / math.sqrt(bound * (1 - bound) / trials)
        assert statistic == pytest.approx(Z95, rel=1e-6)
    assert 0 <= interval.low <= interval.mean <= interval.high <= 1


def test_wilson_at_none_and_at_all_successes_ends_in_the_closed_form() -> None:
    assert wilson(0, 10).low == 0
    assert wilson(0, 10).high == pytest.approx(Z95**2 / (10 + Z95**2))
    assert wilson(10, 10).high == 1
    assert wilson(10, 10).low == pytest.approx(10 / (10 + Z95**2))


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_what_is_no_proportion(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(successes, trials)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_sum_of_the_binomial_outcomes_no_likelier_than_the_one_seen(first: int, second: int) -> None:
    pairs = first + second
    seen = math.comb(pairs, first)
    extreme = sum(Fraction(count, 2**pairs) for one in range(pairs + 1) if (count := math.comb(pairs, one)) <= seen)
    assert mcnemar(first, second) == pytest.approx(float(extreme))


@given(st.integers(0, 4000), st.integers(0, 4000))
def test_mcnemar_is_symmetric_and_a_probability_also_for_thousands_of_pairs(first: int, second: int) -> None:
    assert 0 < mcnemar(first, second) == mcnemar(second, first) <= 1


def test_no_test_is_certain_however_many_questions_agree() -> None:
    """Two to the power of minus 2,000 is no float."""
    assert 0 < mcnemar(0, 2001) < 1e-300
    assert 0 < cluster_flip([1.0] * 4002, [place // 2 for place in range(4002)]) < 1e-300
    assert 0 < sign_flip([0.5] * 2001) <= 1e-4


def test_mcnemar_of_a_large_even_table_approaches_its_normal_limit() -> None:
    first, second = 5200, 5000
    z = (abs(first - second) - 1) / math.sqrt(first + second)
    assert mcnemar(first, second) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)


@given(SMALL)
def test_sign_flip_is_the_share_of_all_the_flips_there_are(differences: list[float]) -> None:
    assert sign_flip(differences) == pytest.approx(every_flip(differences), abs=1e-12)


def test_sign_flip_of_more_differences_than_can_be_flipped_in_every_way_is_near_that_share() -> None:
    differences = [0.9, 0.7, 0.65, 0.6, 0.5, 0.4, 0.35, 0.3, 0.2, 0.1, -0.15, -0.3, -0.45, -0.5, -0.6, -0.1]
    assert 0.1 < every_flip(differences) < 0.9
    exact = every_flip(differences)
    assert sign_flip(differences, draws=20_000) == pytest.approx(exact, abs=0.02)
    assert sign_flip([*differences, 0.0, 0.0], draws=2**16) == pytest.approx(exact, abs=1e-12)
    drawn = sign_flip(differences, draws=2**16 - 1)
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=0.01)


def every_flip(differences: list[float]) -> float:
    observed = abs(math.fsum(differences))
    flips = list(itertools.product((-1, 1), repeat=len(differences)))
    sums = [abs(math.fsum(sign * one for sign, one in zip(signs, differences, strict=True))) for signs in flips]
    return sum(one >= observed - 1e-9 for one in sums) / len(flips)


def test_sign_flip_of_no_difference_is_certain() -> None:
    assert sign_flip([]) == sign_flip([0.0, 0.0]) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_the_bootstrap_lies_within_the_values_around_their_mean(values: list[float]) -> None:
    interval = bootstrap(values, resamples=500)
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9
    assert interval.mean == pytest.approx(math.fsum(values) / len(values))


def test_the_bootstrap_agrees_with_drawing_the_values_themselves() -> None:
    values = np.random.default_rng(7).beta(0.4, 0.7, size=200).round(2)
    drawn = np.random.default_rng(8).choice(values, size=(20_000, 200)).mean(axis=1)
    interval = bootstrap(list(values), resamples=20_000)
    assert [interval.low, interval.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.004)


def test_the_bootstrap_covers_a_known_mean_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    samples = random.beta(2, 3, size=(300, 80))
    covered = sum(one.low <= 0.4 <= one.high for one in (bootstrap(list(row), resamples=800) for row in samples))
    assert 0.90 <= covered / 300 <= 0.99


def test_the_bootstrap_of_paired_differences_is_the_paired_bootstrap() -> None:
    random = np.random.default_rng(3)
    first, second = random.integers(0, 2, 150), random.integers(0, 2, 150)
    rows = random.integers(0, 150, size=(20_000, 150))
    drawn = first[rows].mean(axis=1) - second[rows].mean(axis=1)
    interval = bootstrap([float(difference) for difference in first - second], resamples=20_000)
    assert [interval.low, interval.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.008)


def test_the_same_values_have_the_same_interval_every_time() -> None:
    assert bootstrap([0.0, 0.5, 1.0]) == bootstrap([0.0, 0.5, 1.0])


def test_no_values_have_no_interval() -> None:
    with pytest.raises(ValueError, match="no mean"):
        bootstrap([])
