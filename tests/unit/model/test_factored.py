"""Experts of low rank computed beside one public FFN: the sum, exactly where it can be exact, and nothing leaks."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from services.model.engines.factored import Change, FactoredExperts, Factors, Whole

HIDDEN, WIDTH, RANK, EXPERTS = 12, 20, 3, 4

choices = st.integers(1, 3).flatmap(
    lambda k: st.lists(st.permutations(range(EXPERTS)).map(lambda order: list(order[:k])), min_size=1, max_size=7)
)


def weights_of(seed: int) -> tuple[Tensor, Tensor, list[Change | None]]:
    draw = torch.Generator().manual_seed(seed)

    def matrix(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw) / 4

    def low_rank() -> Factors:
        first, second = matrix(2 * RANK, HIDDEN), matrix(RANK, WIDTH)
        return Factors(first, matrix(WIDTH, RANK), matrix(WIDTH, RANK), second, matrix(HIDDEN, RANK))

    changes = [None, low_rank(), Whole(matrix(2 * WIDTH, HIDDEN), matrix(HIDDEN, WIDTH)), low_rank()]
    return matrix(2 * WIDTH, HIDDEN), matrix(HIDDEN, WIDTH), changes


def whole(gate_up: Tensor, down: Tensor, change: Change | None) -> tuple[Tensor, Tensor]:
    """An expert's FFN as a merge writes it."""
    if change is None:
        return gate_up, down
    if isinstance(change, Whole):
        return change.gate_up, change.down
    gate, up = change.gate_up_a.chunk(2)
    return gate_up + torch.cat([change.gate_b @ gate, change.up_b @ up]), down + change.down_b @ change.down_a


def directly(
    hidden: Tensor, chosen: Tensor, weights: Tensor, *, gate_up: Tensor, down: Tensor, changes: Sequence[Change | None]
) -> Tensor:
    """Token by token, choice by choice, with whole FFNs."""
    out = torch.zeros_like(hidden)
    for token, experts in enumerate(chosen.tolist()):
        for slot, expert in enumerate(experts):
            own_gate_up, own_down = whole(gate_up, down, changes[expert])
            gate, up = (own_gate_up @ hidden[token]).chunk(2)
            out[token] += weights[token, slot] * (own_down @ (functional.silu(gate) * up))
    return out


@given(chosen=choices, seed=st.integers(0, 100))
def test_factored_experts_compute_what_whole_ones_do(chosen: list[list[int]], seed: int) -> None:
    gate_up, down, changes = weights_of(seed)
    hidden, indices = torch.randn(len(chosen), HIDDEN), torch.tensor(chosen)
    weights = torch.rand(indices.shape)
    found = FactoredExperts(gate_up, down, changes)(hidden, indices, weights)
    torch.testing.assert_close(
        found, directly(hidden, indices, weights, gate_up=gate_up, down=down, changes=changes), atol=1e-5, rtol=1e-5
    )


def test_the_public_expert_alone_is_the_dense_ffn_bit_for_bit() -> None:
    gate_up, down, changes = weights_of(0)
    hidden = torch.randn(5, HIDDEN)
    gate, up = functional.linear(hidden, gate_up).chunk(2, dim=-1)
    dense = functional.linear(functional.silu(gate) * up, down)
    alone = FactoredExperts(gate_up, down, changes)(hidden, torch.zeros(5, 1, dtype=torch.long), torch.ones(5, 1))
    assert torch.equal(alone, dense)


@pytest.mark.parametrize("poisoned", [1, 2, 3])
def test_nan_in_an_expert_reaches_only_the_tokens_that_go_to_it(poisoned: int) -> None:
    gate_up, down, changes = weights_of(1)
    healthy = FactoredExperts(gate_up, down, changes)
    change = changes[poisoned]
    assert change is not None
    nan = type(change)(*(torch.full_like(getattr(change, name), torch.nan) for name in change.__slots__))
    ill = FactoredExperts(gate_up, down, [nan if place == poisoned else other for place, other in enumerate(changes)])
    chosen = torch.tensor([[poisoned, 0], [(poisoned % 3) + 1, 0], [0, (poisoned + 1) % 3 + 1]])
    hidden, weights = torch.randn(3, HIDDEN), torch.rand(3, 2)
    found, expected = ill(hidden, chosen, weights), healthy(hidden, chosen, weights)
    assert found[0].isnan().all()
    assert torch.equal(found[1:], expected[1:])


def test_an_expert_that_nobody_chose_may_as_well_not_be_there() -> None:
    gate_up, down, changes = weights_of(2)
    chosen, hidden, weights = torch.tensor([[0, 2], [2, 1]]), torch.randn(2, HIDDEN), torch.rand(2, 2)
    fewer = FactoredExperts(gate_up, down, changes[:3])(hidden, chosen, weights)
    assert torch.equal(FactoredExperts(gate_up, down, changes)(hidden, chosen, weights), fewer)


@given(chosen=choices, seed=st.integers(0, 100), order=st.permutations(range(EXPERTS)))
def test_where_an_expert_stands_changes_no_bit(chosen: list[list[int]], seed: int, order: list[int]) -> None:
    gate_up, down, changes = weights_of(seed)
    hidden, indices = torch.randn(len(chosen), HIDDEN), torch.tensor(chosen)
    weights = torch.rand(indices.shape)
    moved = FactoredExperts(gate_up, down, [changes[place] for place in order])
    places = torch.tensor([order.index(expert) for expert in range(EXPERTS)])[indices]
    found = FactoredExperts(gate_up, down, changes)(hidden, indices, weights)
    torch.testing.assert_close(moved(hidden, places, weights), found, rtol=0, atol=0)
