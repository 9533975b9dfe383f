"""The language model's score of a passage, and how it goes together with the retriever's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retrieval.language.judging import blend, expected
from shared.contracts.openai import TopLogprob

LOGPROBS = st.dictionaries(st.sampled_from("012345"), st.floats(-60, 0), min_size=1)
SCORES = st.lists(st.tuples(st.floats(0, 5), st.floats(-10, 10)), min_size=1, max_size=8)


def candidates(logprobs: dict[str, float]) -> list[TopLogprob]:
    return [TopLogprob(token=token, logprob=logprob) for token, logprob in logprobs.items()]


@given(LOGPROBS)
def test_the_score_is_the_mean_of_the_digits_under_their_probabilities(digits: dict[str, float]) -> None:
    weights = {int(token): math.exp(logprob) for token, logprob in digits.items()}
    mean = sum(score * weight for score, weight in weights.items()) / sum(weights.values())
    assert expected(candidates(digits)) == pytest.approx(mean)


@given(LOGPROBS)
def test_other_tokens_have_no_part_in_the_score(digits: dict[str, float]) -> None:
    others = {"6": -0.1, " 5": -0.2, "five": -0.3, "": -0.4}
    assert expected(candidates(digits | others)) == pytest.approx(expected(candidates(digits)))


def test_without_a_digit_there_is_no_score() -> None:
    assert expected(candidates({"yes": -0.1, "6": -3.0})) is None
    assert expected([]) is None


@given(SCORES)
def test_the_final_score_is_half_the_models_and_half_the_retrievers(scores: list[tuple[float, float]]) -> None:
    judged, retrieved = [llm for llm, _ in scores], [own for _, own in scores]
    final = blend(judged, retrieved)
    least, most = min(retrieved), max(retrieved)
    for (llm, own), score in zip(scores, final, strict=True):
        normal = (own - least) / (most - least) if most > least else 1.0
        assert score == pytest.approx(0.5 * llm / 5 + 0.5 * normal)


def test_a_passage_that_was_not_scored_counts_as_one_that_does_not_help() -> None:
    assert np.array_equal(blend([None, 2.0], [0.3, 0.1]), blend([0.0, 2.0], [0.3, 0.1]))
    assert blend([], []).shape == (0,)
