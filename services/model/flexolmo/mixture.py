"""A merge of low-rank experts, computed without building it: what its Mixtral checkpoint computes, for less.

All experts are the public FFN plus a delta, so the products with the public weights are computed once for all of
them, and the (linear) down projection once, for the mixture. It costs little more than the dense model at any k, and
gradients reach the router rows: for measuring many mixtures, and for tuning a router. Serving uses the checkpoint.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaMLP

from services.model.flexolmo.deltas import PROJECTIONS
from services.model.flexolmo.expert import Expert
from services.model.flexolmo.families import CausalLM

Factors = dict[str, tuple[Tensor, Tensor]]
"""By projection, an expert's factors a (rank, in) and b (out, rank)."""


def attach_mixture(
    model: CausalLM, experts: Sequence[Expert], k: int, rows: Tensor | None = None
) -> list["MixtureFFN"]:
    """Put the mixture of the public FFN (expert 0) and ``experts`` in place of every FFN of the dense ``model``.

    ``k`` experts a token, cut to how many there are. ``rows`` (layers, experts + 1, hidden) are the router's; by
    default those of a merge: zeros for the public expert, and each owner's as its own training left it. Returns the
    new FFNs, first layer first; their router rows are all that asks for gradients.
    """
    model.requires_grad_(False)
    rows = merged_rows(experts) if rows is None else rows
    layers = []
    for i, layer in enumerate(model.model.layers):
        dtype = layer.mlp.gate_proj.weight.dtype
        factors = [_factors(expert, i, dtype) for expert in experts]
        layers.append(MixtureFFN(layer.mlp, factors, rows[i], min(k, len(experts) + 1)))
        layer.mlp = layers[-1]
    return layers


def merged_rows(experts: Sequence[Expert]) -> Tensor:
    """The router rows of a merge without joint training, (layers, experts + 1, hidden), fp32."""
    layers = range(experts[0].layers)
    return torch.stack(
        [torch.stack([torch.zeros_like(experts[0].router(i)), *(e.router(i) for e in experts)]) for i in layers]
    )


class MixtureFFN(nn.Module):
    """The mixture of a public FFN and low-rank changes of it, routed as Mixtral routes."""

    def __init__(self, public: LlamaMLP, experts: Sequence[Factors], rows: Tensor, k: int) -> None:
        super().__init__()
        self.public, self.experts, self.k = public, experts, k
        self.router = nn.Parameter(rows.clone())
        self.share = torch.zeros(len(rows))
        """Mean probability of each expert over the last call's tokens, before the top k are chosen."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., hidden) -> (..., hidden), in x's dtype."""
        flat = x.flatten(0, -2)
        probabilities = F.linear(flat, self.router.to(x.dtype)).float().softmax(-1)
        self.share = probabilities.detach().mean(0)
        top, chosen = probabilities.topk(self.k, dim=-1)
        weights = torch.zeros_like(probabilities).scatter(-1, chosen, top / top.sum(-1, keepdim=True)).to(x.dtype)

        gate, up = self.public.gate_proj(flat), self.public.up_proj(flat)
        mixed = weights[:, :1] * (F.silu(gate) * up)
        lowered = torch.zeros_like(flat)
        for number, factors in enumerate(self.experts, start=1):
            # only the tokens that chose it: a mixture's work grows with k, not with its experts
            (token,) = (chosen == number).any(-1).nonzero(as_tuple=True)
            inputs, weight = flat[token], weights[token, number].unsqueeze(-1)
            inner = F.silu(gate[token] + _product(inputs, factors["gate"]))
            inner = weight * inner * (up[token] + _product(inputs, factors["up"]))
            mixed = mixed.index_add(0, token, inner)
            lowered = lowered.index_add(0, token, _product(inner, factors["down"]))
        out: Tensor = (self.public.down_proj(mixed) + lowered).view_as(x)
        return out


def _product(x: Tensor, factors: tuple[Tensor, Tensor]) -> Tensor:
    a, b = factors
    return F.linear(F.linear(x, a), b)


def _factors(expert: Expert, layer: int, dtype: torch.dtype) -> Factors:
    def factor(projection: str, side: str) -> Tensor:
        return expert.tensors[f"layers.{layer}.{projection}.{side}"].to(dtype)

    return {name: (factor(name, "a"), factor(name, "b")) for name in PROJECTIONS}
