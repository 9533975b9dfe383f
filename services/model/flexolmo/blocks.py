"""The FFN an owner trains in: the anchor's own, frozen, beside the owner's expert, weighed by a router.

FlexOlmo (Shi et al. 2025) trains a full copy of the FFN. Here the copy is held as the anchor's weights plus a
delta, so that a low-rank expert is a file of a few megabytes, and so that beside a dense FFN both experts share
nearly all of their work: the products with the public weights are computed once, and because the down projection
is linear it is applied once, to the mixture of the two experts' hidden states.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.model.flexolmo.deltas import NewDelta, new_deltas
from services.model.flexolmo.families import CausalLM


class OwnerBlock(nn.Module):
    """The owner's part of a layer, which alone is trained.

    ``router`` (hidden,), fp32, is the owner's router row minus the row of the expert it started from. ``bias``
    lowers the owner's logit while training (its positive part is cut off) and is no part of the expert: it is not
    applied in eval mode and not exported.
    """

    def __init__(self, hidden: int, width: int, new: NewDelta) -> None:
        super().__init__()
        self.gate, self.up, self.down = new(width, hidden), new(width, hidden), new(hidden, width)
        self.router = nn.Parameter(torch.zeros(hidden))
        self.bias = nn.Parameter(torch.zeros(()))
        self.z = torch.zeros(())
        """log-sum-exp of the router logits, squared and averaged over the last call's tokens: the z-loss."""
        self.share = torch.zeros(())
        """Mean probability the last call's tokens gave the owner's expert."""

    def logit(self, x: Tensor) -> Tensor:
        """The owner's logit against that of the expert it started from: x (..., hidden) -> (...), fp32."""
        logit = x.float() @ self.router
        return logit + self.bias.clamp(max=0.0) if self.training else logit


class TwoExpertFFN(OwnerBlock):
    """A dense FFN and the owner's expert: p0 * public(x) + p1 * expert(x), softmax in fp32."""

    def __init__(self, public: Any, new: NewDelta) -> None:
        """``public``: the FFN of a Llama or an OLMo2."""
        super().__init__(public.gate_proj.in_features, public.gate_proj.out_features, new)
        self.public = public

    def forward(self, x: Tensor) -> Tensor:
        """x (..., hidden) -> (..., hidden), in x's dtype."""
        # The public logit is 0, so the softmax over the two is a sigmoid and their log-sum-exp a softplus.
        logit = self.logit(x)
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


class OwnerMixture(OwnerBlock):
    """A mixture of public experts and, as one more of them, the owner's, which starts as a copy of one.

    The router picks its k of all, as it will when merged. The public experts are computed by transformers' own
    module; a slot that the owner's expert won is redirected there to an expert at weight 0.
    """

    def __init__(self, public: Any, base: int, new: NewDelta) -> None:
        """``public``: the sparse block of a Mixtral, OLMoE or FlexOlmo; ``base``: the expert to start from."""
        super().__init__(public.experts.hidden_dim, public.experts.intermediate_dim, new)
        self.public, self.base = public, base

    def forward(self, x: Tensor) -> Tensor:
        """x (..., hidden) -> (..., hidden), in x's dtype."""
        rows, gate = x.flatten(0, -2), self.public.gate
        scores = F.linear(rows, gate.weight).float()
        logits = torch.cat([scores, (scores[:, self.base] + self.logit(rows)).unsqueeze(-1)], dim=-1)
        probabilities = logits.softmax(-1)
        self.z = logits.logsumexp(-1).square().mean()
        self.share = probabilities[:, -1].detach().mean()
        weights, chosen = probabilities.topk(gate.top_k, dim=-1)
        # Mixtral's router has no such setting: it always normalises.
        if getattr(gate, "norm_topk_prob", True):
            weights = weights / weights.sum(-1, keepdim=True)

        weights, own = weights.to(x.dtype), chosen == gate.num_experts
        public = self.public.experts(rows, chosen.masked_fill(own, self.base), weights.masked_fill(own, 0))
        won = own.any(-1).nonzero().squeeze(-1)
        weight = (weights * own).sum(-1, keepdim=True)[won]
        out: Tensor = public.index_add(0, won, weight * self._expert(rows[won]))
        return out.view(x.shape)

    def _expert(self, x: Tensor) -> Tensor:
        experts = self.public.experts
        gate, up = F.linear(x, experts.gate_up_proj[self.base]).chunk(2, dim=-1)
        hidden = F.silu(gate + self.gate(x)) * (up + self.up(x))
        out: Tensor = F.linear(hidden, experts.down_proj[self.base]) + self.down(hidden)
        return out


def attach_expert(model: CausalLM, rank: int | None, seed: int, base: Sequence[int] | None = None) -> list[OwnerBlock]:
    """Put an owner's block in place of every FFN of ``model``; returns them, first layer first.

    What was there stays, frozen; only the new deltas, router rows and biases ask for gradients. ``base`` names,
    layer by layer, the expert of a mixture that the owner's starts from (none: expert 0).
    """
    model.requires_grad_(False)
    new, blocks = new_deltas(rank, seed), list[OwnerBlock]()
    for i, layer in enumerate(model.model.layers):
        public: Any = layer.mlp
        if hasattr(public, "experts"):
            block: OwnerBlock = OwnerMixture(public, base[i] if base else 0, new)
        else:
            block = TwoExpertFFN(public, new)
        layer.mlp = block.to(model.device).train(model.training)
        blocks.append(block)
    return blocks


def named_trained(blocks: Sequence[OwnerBlock]) -> dict[str, nn.Parameter]:
    """The parameters an owner trains, by the names of their tensors in an expert's file, in a fixed order."""
    return {
        f"layers.{i}.{name}": parameter
        for i, block in enumerate(blocks)
        for name, parameter in block.named_parameters()
        if parameter.requires_grad
    }


def trained_parameters(blocks: Sequence[OwnerBlock]) -> Iterator[nn.Parameter]:
    """The parameters an owner trains, in a fixed order."""
    yield from named_trained(blocks).values()
