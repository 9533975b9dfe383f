"""The two-expert FFN an owner trains: the frozen public FFN beside a low-rank change of it.

FlexOlmo (Shi et al. 2025) trains a full copy of the FFN. Here the copy is held to the public FFN plus a
delta of small rank, so that an expert is a file of a few megabytes, and so that both experts share nearly
all of their work: the products with the public weights are computed once, and because the down projection
is linear it is applied once, to the mixture of the two experts' hidden states.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaMLP

PROJECTIONS = ("gate", "up", "down")


class LowRankDelta(nn.Module):
    """A change of rank r to a matrix of shape (out, in): ``b @ a``, a (r, in), b (out, r), both fp32."""

    def __init__(self, outputs: int, inputs: int, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, inputs, generator=generator) / math.sqrt(inputs))
        # Zero, so that the untrained expert is the public expert.
        self.b = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out), in x's dtype."""
        return F.linear(F.linear(x, self.a.to(x.dtype)), self.b.to(x.dtype))

    def matrix(self) -> Tensor:
        """The delta itself, (out, in), fp32."""
        return self.b.detach() @ self.a.detach()


class TwoExpertFFN(nn.Module):
    """Public FFN and owner's expert, mixed by a router: p0 * public(x) + p1 * expert(x), softmax in fp32.

    Only the difference of the two router rows matters to a softmax over two; ``router`` (hidden,) is that
    difference, owner minus public. ``bias`` lowers the owner's logit while training (its positive part is cut
    off) and is no part of the expert: it is not applied in eval mode and not exported.
    """

    def __init__(self, public: LlamaMLP, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        hidden, width = public.gate_proj.in_features, public.gate_proj.out_features
        self.public = public
        self.gate = LowRankDelta(width, hidden, rank, generator)
        self.up = LowRankDelta(width, hidden, rank, generator)
        self.down = LowRankDelta(hidden, width, rank, generator)
        self.router = nn.Parameter(torch.zeros(hidden))
        self.bias = nn.Parameter(torch.zeros(()))
        self.z = torch.zeros(())
        """log-sum-exp of the router logits, squared and averaged over the last call's tokens: the z-loss."""
        self.share = torch.zeros(())
        """Mean probability the last call's tokens gave the owner's expert."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., hidden) -> (..., hidden), in x's dtype."""
        logit = x.float() @ self.router
        if self.training:
            logit = logit + self.bias.clamp(max=0.0)
        # The public logit is 0, so the softmax over the two is a sigmoid and their log-sum-exp a softplus.
        probability = torch.sigmoid(logit)
        self.z = F.softplus(logit).square().mean()
        self.share = probability.detach().mean()
        weight = probability.to(x.dtype).unsqueeze(-1)

        gate, up = self.public.gate_proj(x), self.public.up_proj(x)
        public = F.silu(gate) * up
        expert = F.silu(gate + self.gate(x)) * (up + self.up(x))
        mixed = torch.lerp(public, expert, weight)
        out: Tensor = self.public.down_proj(mixed) + weight * self.down(expert)
        return out


def attach_expert(model: LlamaForCausalLM, rank: int, seed: int) -> list[TwoExpertFFN]:
    """Put a two-expert FFN in place of every FFN of ``model``; returns them, first layer first.

    What was there stays, frozen; only the new deltas, router rows and biases ask for gradients.
    """
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    layers = [TwoExpertFFN(layer.mlp, rank, generator) for layer in model.model.layers]
    for layer, ffn in zip(model.model.layers, layers, strict=True):
        layer.mlp = ffn
    return layers


def trained_parameters(layers: list[TwoExpertFFN]) -> Iterator[nn.Parameter]:
    """The parameters an owner trains, in a fixed order."""
    for layer in layers:
        yield from (parameter for parameter in layer.parameters() if parameter.requires_grad)
