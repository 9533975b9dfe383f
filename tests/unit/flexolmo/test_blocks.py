"""The owner's blocks against all their experts computed one by one."""

from typing import Any, TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP

from services.model.flexolmo.blocks import OwnerBlock, OwnerMixture, TwoExpertFFN, named_trained
from services.model.flexolmo.deltas import LowRankDelta, new_deltas
from tests.unit.model.tiny import build

HIDDEN, WIDTH = 24, 40
RANKS = pytest.mark.parametrize("rank", [3, None])
MIXTURES = pytest.mark.parametrize("architecture", ["mixtral", "olmoe", "flex_olmo"])


def dense() -> LlamaMLP:
    ffn = LlamaMLP(  # type: ignore[no-untyped-call]
        LlamaConfig(hidden_size=HIDDEN, intermediate_size=WIDTH, num_attention_heads=4)
    )
    return ffn.requires_grad_(False)


Block = TypeVar("Block", bound=OwnerBlock)


def moved(block: Block) -> Block:
    """The block with deltas, router and bias that have all moved away from zero."""
    with torch.no_grad():
        for delta in (block.gate, block.up, block.down):
            (delta.b if isinstance(delta, LowRankDelta) else delta.d).normal_(std=0.3)
        block.router.normal_()
        block.bias.fill_(-0.7)
    return block


def two_experts(rank: int | None) -> TwoExpertFFN:
    torch.manual_seed(0)
    return moved(TwoExpertFFN(dense(), new_deltas(rank, seed=0)))


def weights(delta: Any) -> Tensor:
    """A delta's matrix, with its gradient."""
    matrix: Tensor = delta.b @ delta.a if isinstance(delta, LowRankDelta) else delta.d
    return matrix


def naive(ffn: TwoExpertFFN, x: Tensor, bias: float) -> Tensor:
    """Both experts in full, each with its own matrices, weighted by a softmax over two logits."""
    public = ffn.public
    dense = [public.gate_proj.weight, public.up_proj.weight, public.down_proj.weight]
    changed = [w + weights(d) for w, d in zip(dense, (ffn.gate, ffn.up, ffn.down), strict=True)]
    outputs = [F.linear(F.silu(F.linear(x, g)) * F.linear(x, u), d) for g, u, d in (dense, changed)]
    logits = torch.stack([torch.zeros(x.shape[:-1]), x @ ffn.router + bias], dim=-1)
    shares = logits.softmax(-1)
    return shares[..., :1] * outputs[0] + shares[..., 1:] * outputs[1]


@RANKS
def test_the_shared_work_gives_what_two_separate_experts_would(rank: int | None) -> None:
    ffn, x = two_experts(rank).eval(), torch.randn(2, 5, HIDDEN)
    torch.testing.assert_close(ffn(x), naive(ffn, x, bias=0.0), atol=1e-5, rtol=1e-5)


@RANKS
def test_the_bias_acts_in_training_only(rank: int | None) -> None:
    ffn, x = two_experts(rank).train(), torch.randn(2, 5, HIDDEN)
    torch.testing.assert_close(ffn(x), naive(ffn, x, bias=-0.7), atol=1e-5, rtol=1e-5)


def test_a_positive_bias_is_cut_off() -> None:
    ffn, x = two_experts(3).train(), torch.randn(2, 5, HIDDEN)
    with torch.no_grad():
        ffn.bias.fill_(4.0)
    torch.testing.assert_close(ffn(x), naive(ffn, x, bias=0.0), atol=1e-5, rtol=1e-5)


@RANKS
def test_the_gradients_of_the_shared_work_are_those_of_two_separate_experts(rank: int | None) -> None:
    ffn, x = two_experts(rank).eval(), torch.randn(2, 5, HIDDEN)
    trained = [parameter for name, parameter in named_trained([ffn]).items() if "bias" not in name]
    ours = torch.autograd.grad(ffn(x).square().sum(), trained)
    truth = torch.autograd.grad(naive(ffn, x, bias=0.0).square().sum(), trained)
    for mine, theirs in zip(ours, truth, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@RANKS
def test_an_untrained_expert_is_the_public_expert(rank: int | None) -> None:
    public = dense()
    x = torch.randn(4, HIDDEN)
    torch.testing.assert_close(TwoExpertFFN(public, new_deltas(rank, seed=0))(x), public(x))


def mixture(architecture: str, base: int, rank: int | None, top_k: int = 2) -> OwnerMixture:
    block = build(architecture, top_k=top_k).model.layers[0].mlp
    block.requires_grad_(False)
    return moved(OwnerMixture(block, base, new_deltas(rank, seed=0)))


def one_by_one(block: OwnerMixture, x: Tensor, bias: float) -> Tensor:
    """Every expert on every token, the owner's last, weighted by the top k of one softmax over all of them."""
    router, experts, base = block.public.gate, block.public.experts, block.base
    matrices = [(*experts.gate_up_proj[i].chunk(2), experts.down_proj[i]) for i in range(router.num_experts)]
    deltas = (block.gate, block.up, block.down)
    matrices.append(tuple(w + weights(d) for w, d in zip(matrices[base], deltas, strict=True)))
    outputs = torch.stack([F.linear(F.silu(F.linear(x, g)) * F.linear(x, u), d) for g, u, d in matrices], dim=-2)
    rows = torch.cat([router.weight, (router.weight[base] + block.router)[None]])
    logits = x @ rows.T
    logits[..., -1] += bias
    shares = logits.softmax(-1)
    kept, chosen = shares.topk(router.top_k)
    if getattr(router, "norm_topk_prob", True):
        kept = kept / kept.sum(-1, keepdim=True)
    return (torch.zeros_like(shares).scatter(-1, chosen, kept).unsqueeze(-1) * outputs).sum(-2)


@MIXTURES
@RANKS
@pytest.mark.parametrize(("base", "top_k"), [(0, 1), (2, 2), (3, 4)])
def test_an_owner_s_expert_in_a_mixture_is_one_more_expert(
    architecture: str, rank: int | None, base: int, top_k: int
) -> None:
    block = mixture(architecture, base, rank, top_k)
    x = torch.randn(2, 9, 32, requires_grad=True)
    for bias, mode in ((0.0, False), (-0.7, True)):
        ours, truth = block.train(mode)(x), one_by_one(block, x, bias)
        torch.testing.assert_close(ours, truth, atol=1e-5, rtol=1e-4)
        asked = [x, *(p for name, p in named_trained([block]).items() if "bias" not in name)]
        for mine, theirs in zip(
            torch.autograd.grad(ours.square().sum(), asked, retain_graph=True),
            torch.autograd.grad(truth.square().sum(), asked),
            strict=True,
        ):
            torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-3)


@MIXTURES
def test_only_tokens_that_are_routed_to_it_pass_an_owner_s_expert(architecture: str) -> None:
    block = mixture(architecture, base=1, rank=3, top_k=2).eval()
    x = torch.randn(3, 11, 32)
    before = block(x)
    with torch.no_grad():
        block.router.copy_(-x.reshape(-1, 32).sum(0) * 0 - 1e3 * x[0, 0])
        # Now no token like the first is routed there; poison tells which still are.
        block.down.a.fill_(float("nan"))  # type: ignore[operator]
    after = block(x)
    assert torch.isfinite(after[0, 0]).all()
    assert not torch.isfinite(after).all()
    assert torch.isfinite(before).all()
