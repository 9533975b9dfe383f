"""Masking an expert is removing it: for every architecture, whatever else is in the batch."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from services.model.flexolmo.mask import ExpertMask, install
from tests.unit.model.tiny import ARCHITECTURES, EVERY, EXPERTS, VOCABULARY, allow, build, poison, prune

MASKS = st.frozensets(st.integers(0, EXPERTS - 1), min_size=1)
TOKENS = torch.randint(0, VOCABULARY, (3, 17), generator=torch.Generator().manual_seed(5))


def logits(model: Any, mask: ExpertMask, tokens: Tensor, allowed: Tensor) -> Tensor:
    with torch.no_grad(), mask.over(mask.rows(allowed, tokens.shape[1])):
        found: Tensor = model(input_ids=tokens).logits
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("top_k", [1, 2, 4])
@pytest.mark.parametrize("kept", [{0}, {2}, {0, 3}, {1, 2, 3}, EVERY])
def test_a_masked_expert_is_a_removed_expert(architecture: str, top_k: int, kept: set[int]) -> None:
    model = build(architecture, top_k=top_k)
    with torch.no_grad():
        expected = prune(architecture, model, kept)(input_ids=TOKENS).logits
    found = logits(model, install(model), TOKENS, allow(kept, kept, kept))
    assert float((found - expected).abs().max()) == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(deadline=None, max_examples=25)
@given(masks=st.tuples(MASKS, MASKS, MASKS))
def test_sequences_of_one_batch_are_masked_each_by_its_own_mask(
    architecture: str, masks: tuple[frozenset[int], frozenset[int], frozenset[int]]
) -> None:
    model = build(architecture, top_k=3)
    mask = install(model)
    together = logits(model, mask, TOKENS, allow(*masks))
    for row, own in enumerate(masks):
        alone = logits(model, mask, TOKENS[row : row + 1], allow(own))
        torch.testing.assert_close(together[row], alone[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("masks", [({0}, {0}, {0}), ({0}, {0, 1}, {1}), ({0, 1}, {0, 1}, {0})])
def test_an_expert_of_nan_that_is_masked_changes_nothing(
    architecture: str, masks: tuple[set[int], set[int], set[int]]
) -> None:
    model = build(architecture, top_k=4)
    mask = install(model)
    before = logits(model, mask, TOKENS, allow(*masks))
    poison(model, {2, 3})
    after = logits(model, mask, TOKENS, allow(*masks))
    assert torch.equal(before, after)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_mask_of_all_experts_is_the_model_itself(architecture: str) -> None:
    model = build(architecture)
    with torch.no_grad():
        expected = model(input_ids=TOKENS).logits
    assert torch.equal(logits(model, install(model), TOKENS, allow(EVERY, EVERY, EVERY)), expected)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(deadline=None, max_examples=25)
@given(masks=st.tuples(MASKS, MASKS, MASKS))
def test_routing_sums_to_one_and_is_exactly_zero_for_a_masked_expert(
    architecture: str, masks: tuple[frozenset[int], frozenset[int], frozenset[int]]
) -> None:
    model = build(architecture)
    mask = install(model)
    logits(model, mask, TOKENS, allow(*masks))
    routing = mask.routing().view(-1, *TOKENS.shape, EXPERTS)
    torch.testing.assert_close(routing.sum(-1), torch.ones(routing.shape[:-1]))
    for row, own in enumerate(masks):
        assert (routing[:, row][..., sorted(EVERY - own)] == 0).all()


def test_a_patched_model_refuses_to_compute_without_a_mask() -> None:
    model = build("mixtral")
    install(model)
    with pytest.raises(RuntimeError, match="no mask means no consent"):
        model(input_ids=TOKENS)


def test_a_sequence_that_allows_no_expert_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one expert"):
        ExpertMask(EXPERTS, 2).rows(allow({0}, set()))


def test_a_mask_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="a mask is"):
        ExpertMask(EXPERTS, 2).rows(torch.ones(1, EXPERTS + 1, dtype=torch.bool))


def test_a_model_without_experts_is_refused() -> None:
    with pytest.raises(ValueError, match="no router"):
        install(torch.nn.Linear(2, 2))


HOW: dict[str, dict[str, Any]] = {
    "beams": {"num_beams": 4, "num_return_sequences": 2, "do_sample": False},
    "beams with a length penalty": {"num_beams": 4, "do_sample": False, "length_penalty": 2.0},
    "samples": {"num_return_sequences": 3, "do_sample": True, "temperature": 0.8},
    "greedy": {"do_sample": False},
}


def generated(model: Any, tokens: Tensor, how: str) -> Tensor:
    """(sequences, tokens): what transformers' own generate returns, with its random numbers from the beginning."""
    torch.manual_seed(3)
    attention = torch.ones_like(tokens)
    # a sequence that is shorter than the others, padded at its left
    attention[0, :4] = 0
    found: Tensor = model.generate(tokens, attention_mask=attention, max_new_tokens=12, **HOW[how])
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kept", [{0}, {0, 3}, {1, 2, 3}])
def test_generate_under_a_mask_is_generate_of_the_pruned_model(architecture: str, how: str, kept: set[int]) -> None:
    model = build(architecture)
    expected = generated(prune(architecture, model, kept), TOKENS, how)
    with install(model).sequences(allow(kept, kept, kept)):
        assert generated(model, TOKENS, how).tolist() == expected.tolist()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("how", ["beams", "greedy"])
def test_beams_of_one_batch_are_searched_each_under_its_sequence_s_own_mask(architecture: str, how: str) -> None:
    model, masks = build(architecture), [{0}, {0, 3}, {1, 2, 3}]
    each = HOW[how].get("num_return_sequences", 1)
    mask = install(model)
    with mask.sequences(allow(*masks)):
        together = generated(model, TOKENS, how)
    for row, own in enumerate(masks):
        expected = generated(prune(architecture, build(architecture), own), TOKENS, how)
        mine = slice(row * each, (row + 1) * each)
        assert together[mine].tolist() == expected[mine].tolist()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_expert_of_nan_that_is_masked_reaches_no_beam(architecture: str) -> None:
    model, masks = build(architecture), allow({0}, {0, 1}, {1})
    mask = install(model)
    with mask.sequences(masks):
        before = generated(model, TOKENS, "beams")
    poison(model, {2, 3})
    with mask.sequences(masks):
        assert torch.equal(generated(model, TOKENS, "beams"), before)


def test_outside_of_sequences_a_patched_model_refuses_again() -> None:
    model = build("mixtral")
    mask = install(model)
    with mask.sequences(allow({0}, {1}, {2})):
        model(input_ids=TOKENS)
    with pytest.raises(RuntimeError, match="no mask means no consent"):
        model(input_ids=TOKENS)


def test_rows_that_cannot_be_the_sequences_are_refused() -> None:
    model = build("mixtral")
    with install(model).sequences(allow({0}, {1})), pytest.raises(RuntimeError, match="51 rows"):
        model(input_ids=TOKENS)
