"""Moments of log p under the model itself, and the gradient's norm, against plain autograd on pruned models."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from services.model.engines.base import ExpertLayer, NewExpert, ScoreTask
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.factored import FactoredExperts, Factors, Whole
from services.model.engines.transformers import Limits, TransformersEngine
from tests.unit.model.tiny import ARCHITECTURES, EVERY, build, letters, prune

TOKENS = (5, 9, 200, 31, 9, 77, 5, 301, 14)
MASKS = [frozenset({0}), frozenset({0, 2}), frozenset({1, 3}), EVERY]


def engine_of(model: Any) -> TransformersEngine:
    return TransformersEngine(Checkpoint(model), letters, Limits(threads=1))


def directly(model: Any, tokens: Iterable[int]) -> float:
    """Autograd over the whole loss at once, and the norm over what is not in a mixture."""
    given = torch.tensor([tuple(tokens)])
    model.zero_grad()
    logits = model(input_ids=given).logits[0, :-1]
    torch.autograd.backward(functional.cross_entropy(logits, given[0, 1:]))
    squares = [one.grad.square().sum() for name, one in model.named_parameters() if ".mlp." not in name]
    return float(torch.stack(squares).sum().sqrt())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_gradient_is_that_of_the_pruned_model(architecture: str) -> None:
    model = build(architecture)
    expected = [directly(prune(architecture, model, mask), TOKENS) for mask in MASKS]
    engine = engine_of(model)
    try:
        found = engine.score([ScoreTask(TOKENS, mask, gradient=True) for mask in MASKS]).result(120)
    finally:
        engine.close()
    assert [one.gradient for one in found] == pytest.approx(expected, rel=1e-4)
    assert len({round(value, 6) for value in expected}) == len(MASKS)


def test_a_text_longer_than_a_piece_has_the_gradient_of_the_whole() -> None:
    model, tokens = build("mixtral"), tuple(3 + (7 * place * place) % 300 for place in range(300))
    expected = directly(prune("mixtral", model, {0, 1}), tokens)
    engine = engine_of(model)
    try:
        (found,) = engine.score([ScoreTask(tokens, frozenset({0, 1}), gradient=True)]).result(120)
    finally:
        engine.close()
    assert found.gradient == pytest.approx(expected, rel=1e-4)


def test_the_moments_are_sums_over_the_vocabulary_weighted_by_probability() -> None:
    model = build("mixtral")
    engine = engine_of(model)
    try:
        (found, plain) = engine.score([ScoreTask(TOKENS, MASKS[1], own=True), ScoreTask(TOKENS, MASKS[1])]).result(60)
    finally:
        engine.close()
    with torch.no_grad():
        logits = prune("mixtral", model, MASKS[1])(input_ids=torch.tensor([TOKENS])).logits[0, :-1].double()
    means, variances = [], []
    for row in logits.log_softmax(-1).tolist():
        weights = torch.tensor(row).exp().tolist()
        mean = sum(weight * value for weight, value in zip(weights, row, strict=True))
        means.append(mean)
        variances.append(sum(weight * (value - mean) ** 2 for weight, value in zip(weights, row, strict=True)))
    assert found.own_means == pytest.approx(means, abs=1e-3)
    assert found.own_variances == pytest.approx(variances, rel=1e-3)
    assert (plain.own_means, plain.own_variances, plain.gradient) == (None, None, None)


def test_what_is_asked_of_one_text_is_told_of_that_text_and_one_token_has_no_gradient() -> None:
    engine = engine_of(build("mixtral"))
    try:
        tasks = [ScoreTask((5,), EVERY, own=True, gradient=True), ScoreTask(TOKENS, EVERY, gradient=True)]
        single, whole = engine.score(tasks).result(60)
        (again,) = engine.score([ScoreTask(TOKENS, EVERY)]).result(60)
    finally:
        engine.close()
    assert (single.own_means, single.own_variances, single.gradient) == ([], [], None)
    assert whole.gradient is not None
    assert again.logprobs == pytest.approx(whole.logprobs, abs=1e-5)


def test_a_gradient_can_be_told_when_experts_have_come_and_gone() -> None:
    model = build("mixtral")
    other = build("mixtral", seed=1)
    layers = [
        ExpertLayer(
            Whole(layer.mlp.experts.gate_up_proj[2].detach().clone(), layer.mlp.experts.down_proj[2].detach().clone()),
            layer.mlp.gate.weight[2].detach().clone(),
        )
        for layer in other.model.layers
    ]
    kept = prune("mixtral", model, {0, 2, 3})
    expected = directly(kept, TOKENS)
    engine = engine_of(model)
    try:
        number = engine.add(NewExpert("harbour", None, None, layers)).result(60)
        engine.remove(1, patience=0).result(60)
        tasks = [
            ScoreTask(TOKENS, frozenset({0, 2, 3}), gradient=True),
            ScoreTask(TOKENS, frozenset({0, number}), gradient=True),
        ]
        before, joined = engine.score(tasks).result(60)
    finally:
        engine.close()
    assert before.gradient == pytest.approx(expected, rel=1e-4)
    assert joined.gradient is not None
    assert joined.gradient != pytest.approx(expected, rel=1e-2)


def test_the_gradient_through_changes_of_the_public_ffn_is_that_through_whole_experts() -> None:
    draw = torch.Generator().manual_seed(3)

    def matrix(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw) / 4

    hidden, width, rank = 12, 20, 3
    gate_up, down = matrix(2 * width, hidden), matrix(hidden, width)
    change = Factors(
        matrix(2 * rank, hidden), matrix(width, rank), matrix(width, rank), matrix(rank, width), matrix(hidden, rank)
    )
    gate_a, up_a = change.gate_up_a.chunk(2)
    merged = Whole(
        gate_up + torch.cat([change.gate_b @ gate_a, change.up_b @ up_a]), down + change.down_b @ change.down_a
    )
    chosen = torch.tensor([[0, 1], [1, 2], [2, 0], [1, 0], [2, 1]])
    gradients = []
    mixes: tuple[list[Factors | Whole | None], ...] = ([None, change, merged], [Whole(gate_up, down), merged, change])
    for changes in mixes:
        states = torch.linspace(-1, 1, 5 * hidden).view(5, hidden).requires_grad_()
        weights = torch.linspace(0.1, 0.9, 10).view(5, 2).requires_grad_()
        torch.autograd.backward(FactoredExperts(gate_up, down, changes)(states, chosen, weights).square().sum())
        gradients.append((states.grad, weights.grad))
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
