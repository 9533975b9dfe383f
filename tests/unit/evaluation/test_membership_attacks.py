"""Each attack's score against a direct, slow implementation."""

import math
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.evaluation.metrics.membership import loss, min_k, zlib_ratio

LOGPROBS = st.lists(st.floats(-20, 0), min_size=1, max_size=40)


def slow_mean(values: Sequence[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


@given(LOGPROBS)
def test_the_loss_is_the_mean_negative_log_likelihood(logprobs: list[float]) -> None:
    assert loss(logprobs) == pytest.approx(-slow_mean(logprobs))


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


def test_a_text_without_a_scored_token_is_refused() -> None:
    for attack in (loss, min_k):
        with pytest.raises(ValueError, match="less than two tokens"):
            attack([])
