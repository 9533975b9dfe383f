"""Each attack's score against a direct, slow implementation."""

import math
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.evaluation.metrics.membership import (
    dc_pdd,
    loss,
    min_k,
    min_k_plus_plus,
    neighbourhood,
    recall,
    reference,
    zlib_ratio,
)

LOGPROBS = st.lists(st.floats(-20, 0), min_size=1, max_size=40)


def slow_mean(values: Sequence[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


@given(LOGPROBS)
def test_the_loss_is_the_mean_negative_log_likelihood(logprobs: list[float]) -> None:
    assert loss(logprobs) == pytest.approx(-slow_mean(logprobs))


@settings(max_examples=20)
@given(LOGPROBS, st.text())
def test_zlib_divides_the_loss_by_the_bytes_that_zlib_needs(logprobs: list[float], text: str) -> None:
    size = len(zlib.compress(text.encode("utf-8", "surrogatepass")))
    assert zlib_ratio(logprobs, text) == pytest.approx(-slow_mean(logprobs) / size)


@given(LOGPROBS, st.sampled_from([0.1, 0.2, 0.5, 1.0]))
def test_min_k_takes_the_least_probable_tokens(logprobs: list[float], share: float) -> None:
    left, taken = list(logprobs), []
    for _ in range(max(1, math.floor(share * len(logprobs)))):
        smallest = min(left)
        left.remove(smallest)
        taken.append(smallest)
    assert min_k(logprobs, share) == pytest.approx(-slow_mean(taken))


@given(st.lists(st.tuples(st.floats(-20, 0), st.floats(-9, 0), st.floats(0.01, 9)), min_size=1, max_size=30))
def test_min_k_plus_plus_is_min_k_of_what_is_left_of_mean_and_deviation(rows: list[tuple[float, float, float]]) -> None:
    logprobs, means, variances = ([row[at] for row in rows] for at in range(3))
    normalised = [(logprob - mean) / math.sqrt(variance) for logprob, mean, variance in rows]
    found = min_k_plus_plus(logprobs, means, variances)
    assert found == pytest.approx(-slow_mean(sorted(normalised)[: max(1, math.floor(0.2 * len(rows)))]))


def test_min_k_plus_plus_of_a_token_that_the_model_is_sure_of_is_finite() -> None:
    assert min_k_plus_plus([0.0], [0.0], [0.0]) == 0.0


@given(st.floats(0, 9), st.lists(st.floats(0, 9), min_size=1, max_size=25))
def test_the_neighbourhood_is_measured_from_the_mean_of_the_neighbours(own: float, neighbours: list[float]) -> None:
    assert neighbourhood(own, neighbours) == pytest.approx(own - slow_mean(neighbours))
    assert reference(own, neighbours[0]) == own - neighbours[0]
    with pytest.raises(ValueError, match="without neighbours"):
        neighbourhood(own, [])


def test_recall_is_lower_for_a_text_that_a_prefix_disturbs() -> None:
    assert recall(2.0, 3.0) == -1.5
    assert recall(2.0, 3.0) < recall(2.0, 2.0)
    with pytest.raises(ValueError, match="sure of"):
        recall(0.0, 1.0)


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-12, 0)), min_size=1, max_size=30))
def test_dc_pdd_caps_each_tokens_first_occurrence_weighted_by_its_rarity(rows: list[tuple[int, float]]) -> None:
    counts, total, vocabulary = {0: 50, 1: 7, 2: 1}, 58, 6
    seen, values = set(), []
    for token, logprob in rows:
        if token in seen:
            continue
        seen.add(token)
        frequency = (counts.get(token, 0) + 1) / (total + vocabulary)
        value = math.exp(logprob) * math.log(1 / frequency)
        values.append(value if value < 0.01 else 0.01)
    tokens, logprobs = [token for token, _ in rows], [logprob for _, logprob in rows]
    assert dc_pdd(tokens, logprobs, counts, total, vocabulary) == pytest.approx(-slow_mean(values))
    with pytest.raises(ValueError, match="less than two tokens"):
        dc_pdd([], [], counts, total, vocabulary)


def test_a_text_without_a_scored_token_is_refused() -> None:
    for attack in (loss, min_k):
        with pytest.raises(ValueError, match="less than two tokens"):
            attack([])
