"""A router under masks against the rule written out: remove the experts, softmax, top-k of min(k, allowed)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vllm.model_executor.layers.fused_moe.router.cpu_router import CPURouter
from vllm.model_executor.layers.fused_moe.router.fused_topk_router import FusedTopKRouter

from candor_vllm.router import MaskedRouter
from candor_vllm.rows import MaskRows
from candor_vllm.statistics import FORBIDDEN

EXPERTS = 5
MASKS = st.lists(st.frozensets(st.integers(0, EXPERTS - 1), min_size=1), min_size=1, max_size=4)


def rows(masks: list[frozenset[int]]) -> np.ndarray:
    return np.array([[expert not in mask for expert in range(EXPERTS)] for mask in masks])


@pytest.mark.parametrize("inner", [CPURouter, FusedTopKRouter])
@pytest.mark.parametrize(("renormalize", "fixed"), [(True, True), (True, False), (False, False)])
@settings(deadline=None, max_examples=25)
@given(steps=st.lists(MASKS, min_size=1, max_size=3), top_k=st.integers(1, EXPERTS), seed=st.integers(0, 99))
def test_routing_is_that_of_a_model_without_the_masked_experts(  # noqa: PLR0917
    inner: type, renormalize: bool, fixed: bool, steps: list[list[frozenset[int]]], top_k: int, seed: int
) -> None:
    held = MaskRows(32, EXPERTS, top_k, torch.device("cpu"), fixed)
    layers = [
        MaskedRouter(inner(top_k=top_k, global_num_experts=EXPERTS), held, renormalize=renormalize) for _ in range(2)
    ]
    generator = np.random.default_rng(seed)
    for masks in steps:
        counts = generator.integers(1, 5, len(masks)).astype(np.int32)
        held.lay(rows(masks), counts, statistics=True)
        tokens = int(counts.sum())
        owner = np.repeat(np.arange(len(masks)), counts)
        shares = torch.zeros(tokens, EXPERTS)
        for layer in layers:
            logits = torch.tensor(generator.normal(size=(tokens, EXPERTS)), dtype=torch.float32)
            # what a masked expert says must not matter, were it NaN
            logits[torch.from_numpy(rows(masks)[owner])] = float("nan")
            weights, chosen = layer.select_experts(torch.zeros(tokens, 1), logits, torch.int32)
            for token in range(tokens):
                allowed = sorted(masks[owner[token]])
                probabilities = torch.softmax(logits[token, allowed], dim=-1)
                shares[token, allowed] += probabilities / len(layers)
                best = probabilities.topk(min(top_k, len(allowed)))
                expected = torch.zeros(EXPERTS)
                expected[torch.tensor(allowed)[best.indices]] = best.values / (best.values.sum() if renormalize else 1)
                found = torch.zeros(EXPERTS).index_add(0, chosen[token].long(), weights[token])
                torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
                assert set(chosen[token].tolist()) <= set(allowed)
        told = shares.masked_fill(torch.from_numpy(rows(masks)[owner]), FORBIDDEN)
        torch.testing.assert_close(held.shares(slice(0, tokens)), told, atol=1e-6, rtol=1e-5)


def test_an_expert_that_takes_part_although_it_is_forbidden_is_told_with_its_share() -> None:
    held = MaskRows(4, EXPERTS, 1, torch.device("cpu"), False)
    held.layers = 2
    held.lay(rows([frozenset({0})]), np.array([2], dtype=np.int32), statistics=True)
    held.routing[1, 3] = 0.5
    assert held.shares(slice(0, 2)).tolist() == [[0, -1, -1, -1, -1], [0, -1, -1, 0.25, -1]]


def test_a_router_of_another_rule_is_refused() -> None:
    held = MaskRows(1, EXPERTS, 1, torch.device("cpu"), False)
    grouped = CPURouter(1, EXPERTS, use_grouped_topk=True, num_expert_group=1, topk_group=1)
    sigmoid = CPURouter(1, EXPERTS, scoring_func="sigmoid")
    custom = CPURouter(1, EXPERTS, custom_routing_function=lambda **_: None)
    for router in (grouped, sigmoid, custom):
        with pytest.raises(ValueError, match="cannot be masked"):
            MaskedRouter(router, held, renormalize=True)
