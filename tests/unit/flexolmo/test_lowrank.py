"""The two-expert FFN against the two experts computed one by one."""

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP

from services.model.flexolmo.lowrank import TwoExpertFFN

HIDDEN, WIDTH = 24, 40


def dense() -> LlamaMLP:
    return LlamaMLP(  # type: ignore[no-untyped-call]
        LlamaConfig(hidden_size=HIDDEN, intermediate_size=WIDTH, num_attention_heads=4)
    )


def two_experts(seed: int = 0) -> TwoExpertFFN:
    """An FFN whose deltas, router and bias have all moved away from zero."""
    torch.manual_seed(seed)
    ffn = TwoExpertFFN(dense(), rank=3, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for delta in (ffn.gate, ffn.up, ffn.down):
            delta.b.normal_(std=0.3)
        ffn.router.normal_()
        ffn.bias.fill_(-0.7)
    return ffn


def naive(ffn: TwoExpertFFN, x: Tensor, bias: float) -> Tensor:
    """Both experts in full, each with its own matrices, weighted by a softmax over two logits."""
    public = ffn.public
    dense = [public.gate_proj.weight, public.up_proj.weight, public.down_proj.weight]
    changed = [w + d.matrix() for w, d in zip(dense, (ffn.gate, ffn.up, ffn.down), strict=True)]
    outputs = [F.linear(F.silu(F.linear(x, g)) * F.linear(x, u), d) for g, u, d in (dense, changed)]
    logits = torch.stack([torch.zeros(x.shape[:-1]), x @ ffn.router + bias], dim=-1)
    shares = logits.softmax(-1)
    return shares[..., :1] * outputs[0] + shares[..., 1:] * outputs[1]


def test_the_shared_work_gives_what_two_separate_experts_would() -> None:
    ffn, x = two_experts().eval(), torch.randn(2, 5, HIDDEN)
    torch.testing.assert_close(ffn(x), naive(ffn, x, bias=0.0), atol=1e-5, rtol=1e-5)


def test_the_bias_acts_in_training_only() -> None:
    ffn, x = two_experts().train(), torch.randn(2, 5, HIDDEN)
    torch.testing.assert_close(ffn(x), naive(ffn, x, bias=-0.7), atol=1e-5, rtol=1e-5)


def test_a_positive_bias_is_cut_off() -> None:
    ffn, x = two_experts().train(), torch.randn(2, 5, HIDDEN)
    with torch.no_grad():
        ffn.bias.fill_(4.0)
    torch.testing.assert_close(ffn(x), naive(ffn, x, bias=0.0), atol=1e-5, rtol=1e-5)


def test_the_gradients_of_the_shared_work_are_those_of_two_separate_experts() -> None:
    x = torch.randn(2, 5, HIDDEN)
    ffn = two_experts().eval()
    torch.autograd.backward(ffn(x).square().sum())
    ours = {name: p.grad.clone() for name, p in ffn.named_parameters() if p.grad is not None}
    ffn.zero_grad()
    # The same function, written naively, on the same parameters.
    a = {n: (d.b @ d.a) for n, d in (("gate", ffn.gate), ("up", ffn.up), ("down", ffn.down))}
    weights = {n: getattr(ffn.public, f"{n}_proj").weight for n in a}
    outputs = [
        F.linear(F.silu(F.linear(x, w["gate"])) * F.linear(x, w["up"]), w["down"])
        for w in (weights, {n: weights[n] + a[n] for n in a})
    ]
    share = torch.sigmoid(x @ ffn.router).unsqueeze(-1)
    torch.autograd.backward(((1 - share) * outputs[0] + share * outputs[1]).square().sum())
    for name, parameter in ffn.named_parameters():
        if name != "bias" and not name.startswith("public"):
            assert parameter.grad is not None
            torch.testing.assert_close(ours[name], parameter.grad, atol=1e-4, rtol=1e-4)


def test_an_untrained_expert_is_the_public_expert() -> None:
    public = dense()
    ffn = TwoExpertFFN(public, rank=3, generator=torch.Generator().manual_seed(0))
    x = torch.randn(4, HIDDEN)
    torch.testing.assert_close(ffn(x), public(x))
