"""Sampling: each row by its own parameters, from the distribution it should be, and reported truthfully."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from services.model.engines.base import Sampling
from services.model.engines.sampling import choose, random_numbers

LOGITS = torch.randn(1, 2000, generator=torch.Generator().manual_seed(0)) * 2


def draw(logits: torch.Tensor, sampling: Sampling, count: int) -> Counter[int]:
    rows = logits.expand(count, -1)
    numbers = random_numbers(3, 0)
    return Counter(choose(rows, [sampling] * count, [numbers] * count).tokens)


def test_temperature_zero_takes_the_most_probable_token() -> None:
    assert set(draw(LOGITS, Sampling(1, temperature=0), 3)) == {int(LOGITS.argmax())}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_tokens_are_drawn_in_proportion_to_their_probability(temperature: float) -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    found = draw(logits, Sampling(1, temperature=temperature), 4000)
    expected = (logits / temperature).softmax(-1)[0]
    for token in range(4):
        assert found[token] / 4000 == pytest.approx(float(expected[token]), abs=0.03)


@settings(deadline=None, max_examples=30)
@given(top_p=st.floats(0.01, 0.999), scale=st.sampled_from([0.1, 1.0, 3.0]))
def test_only_the_smallest_set_that_reaches_top_p_is_drawn_from(top_p: float, scale: float) -> None:
    logits = LOGITS * scale
    ordered, tokens = logits[0].softmax(-1).sort(descending=True)
    kept = int((ordered.cumsum(-1) < top_p).sum()) + 1
    # one more, for a sum that rounding puts on the other side of the bound
    assert set(draw(logits, Sampling(1, top_p=top_p), 20)) <= set(tokens[: kept + 1].tolist())


def test_a_bias_moves_the_choice_but_not_the_reported_log_probability() -> None:
    found = choose(LOGITS, [Sampling(1, temperature=0, logit_bias={7: 100.0})], [random_numbers(0, 0)])
    assert found.tokens == [7]
    assert found.logprobs[0] == pytest.approx(float(LOGITS.log_softmax(-1)[0, 7]), abs=1e-5)


def test_statistics_are_those_of_the_untempered_distribution() -> None:
    found = choose(LOGITS, [Sampling(1, temperature=0.3, top_p=0.5, top_logprobs=2)], [random_numbers(0, 0)])
    logprobs = LOGITS.log_softmax(-1)[0]
    assert found.means[0] == pytest.approx(float(logprobs.mean()), abs=1e-5)
    assert [token for token, _ in found.top[0]] == logprobs.topk(2).indices.tolist()


def test_a_seed_and_a_choice_give_their_own_numbers() -> None:
    same = [random_numbers(1, 0).random() for _ in range(2)]
    assert same[0] == same[1]
    assert (
        len({same[0], random_numbers(1, 1).random(), random_numbers(2, 0).random(), random_numbers(11, 0).random()})
        == 4
    )
    assert random_numbers(None, 0).random() != random_numbers(None, 0).random()
