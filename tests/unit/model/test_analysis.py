"""OLMoE's analyses are what their formulas say, token by token."""

from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.model.analysis.coactivation import co_activation, pair_counts
from services.model.analysis.computed import computed
from services.model.analysis.saturation import saturation
from services.model.analysis.shares import routing_shares, summed
from services.model.analysis.specialisation import domain_specialisation, vocabulary_specialisation

EXPERTS = (0, 2, 3, 7, 8)


Choices = NDArray[np.int64]
SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 4))


@st.composite
def choices(draw: st.DrawFn, shape: tuple[int, int, int] | None = None) -> Choices:
    """(tokens, layers, k) distinct expert numbers, some slots of a token empty, as a mask leaves them."""
    tokens, layers, k = shape or draw(SHAPES)
    one = st.lists(st.sampled_from(EXPERTS), min_size=1, max_size=k, unique=True)
    rows = [[draw(one) for _ in range(layers)] for _ in range(tokens)]
    return np.array([[row + [-1] * (k - len(row)) for row in token] for token in rows])


def sets(chosen: Choices, layer: int) -> list[set[int]]:
    return [set(token[layer].tolist()) - {-1} for token in chosen]


@given(chosen=choices())
def test_an_expert_computes_a_token_when_it_is_in_one_of_its_slots(chosen: Choices) -> None:
    found = computed(chosen, EXPERTS)
    for token, layer, (column, expert) in product(range(len(chosen)), range(chosen.shape[1]), enumerate(EXPERTS)):
        assert found[token, layer, column] == (expert in chosen[token, layer])


def test_an_expert_that_is_not_counted_must_not_have_been_chosen() -> None:
    with pytest.raises(ValueError, match="expert 7 was chosen"):
        computed(np.array([[[0, 7]]]), (0, 2))


@given(data=st.data())
def test_saturation_is_the_mean_overlap_of_the_two_choices(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    early, final = data.draw(choices(shape)), data.draw(choices(shape))
    for layer, found in enumerate(saturation(early, final)):
        overlaps = [len(a & b) / len(b) for a, b in zip(sets(early, layer), sets(final, layer), strict=True)]
        assert found == pytest.approx(np.mean(overlaps))


@given(chosen=choices())
def test_a_checkpoint_is_saturated_against_itself_in_whatever_order_it_ranks(chosen: Choices) -> None:
    assert (saturation(chosen[..., ::-1], chosen) == 1).all()


def test_saturation_needs_the_same_tokens() -> None:
    with pytest.raises(ValueError, match="the same tokens"):
        saturation(np.zeros((2, 1, 1), dtype=np.int64), np.zeros((3, 1, 1), dtype=np.int64))


@given(chosen=choices())
def test_co_activation_counts_every_pair_of_a_tokens_experts(chosen: Choices) -> None:
    pairs = pair_counts(computed(chosen, EXPERTS))
    shares = co_activation(pairs)
    for layer, (i, first), (j, second) in product(range(chosen.shape[1]), enumerate(EXPERTS), enumerate(EXPERTS)):
        tokens = sets(chosen, layer)
        both, own = sum({first, second} <= token for token in tokens), sum(first in token for token in tokens)
        assert pairs[layer, i, j] == both
        if own:
            assert shares[layer, i, j] == pytest.approx(both / own)
        else:
            assert np.isnan(shares[layer, i, j])


@given(chosen=choices())
def test_domain_specialisation_is_the_share_of_tokens_an_expert_computes(chosen: Choices) -> None:
    found = domain_specialisation(computed(chosen, EXPERTS))
    for layer, (column, expert) in product(range(chosen.shape[1]), enumerate(EXPERTS)):
        assert found[layer, column] == pytest.approx(np.mean([expert in token for token in sets(chosen, layer)]))


@given(data=st.data())
def test_vocabulary_specialisation_is_the_share_of_an_ids_tokens_an_expert_computes(data: st.DataObject) -> None:
    chosen = data.draw(choices())
    ids = data.draw(st.lists(st.integers(-1, 4), min_size=len(chosen), max_size=len(chosen)))
    least = data.draw(st.integers(1, 3))
    found = vocabulary_specialisation(np.array(ids), computed(chosen, EXPERTS), least)
    seen = Counter(number for number in ids if number >= 0)
    often = sorted(number for number, count in seen.items() if count >= least)
    assert found.ids.tolist() == often
    assert found.counts.tolist() == [seen[number] for number in often]
    assert found.rare_ids == len(seen) - len(often)
    assert found.rare_tokens == sum(count for number, count in seen.items() if number not in often)
    for place, layer in product(range(len(often)), range(chosen.shape[1])):
        taken: defaultdict[int, int] = defaultdict(int)
        for number, token in zip(ids, sets(chosen, layer), strict=True):
            if number == often[place]:
                for expert in token:
                    taken[expert] += 1
        expected = [taken[expert] / seen[often[place]] for expert in EXPERTS]
        assert found.shares[place, layer].tolist() == pytest.approx(expected)
        assert found.specialisation[place, layer] == pytest.approx(max(expected))


def test_shares_are_means_of_probability_and_an_owner_has_those_of_its_experts() -> None:
    random = np.random.default_rng(2)
    probabilities = random.dirichlet(np.ones(4), size=(5, 3)).astype(np.float32)
    shares = routing_shares(probabilities)
    for expert in range(4):
        values = [[float(probabilities[token, layer, expert]) for layer in range(3)] for token in range(5)]
        assert shares.overall[expert] == pytest.approx(sum(map(sum, values)) / 15)
        assert shares.by_token[:, expert].tolist() == pytest.approx([sum(token) / 3 for token in values])
        assert shares.by_layer[:, expert].tolist() == pytest.approx(
            [sum(layer) / 5 for layer in zip(*values, strict=True)]
        )
    owned = summed(shares.by_layer, [None, "papers", "news", "papers"])
    assert sorted(owned) == ["news", "papers"]
    assert owned["papers"].tolist() == pytest.approx((shares.by_layer[:, 1] + shares.by_layer[:, 3]).tolist())
