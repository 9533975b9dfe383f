"""A dense model trained from the anchor: low-rank changes of its FFNs, without experts or router, and their file.

Tensors, for each layer i (bf16): ``layers.i.{gate,up,down}.{a,b}``, as in an owner's expert.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaMLP

from services.model.flexolmo.deltas import PROJECTIONS, LowRankDelta
from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.stored import read_changes, write_changes

FORMAT = "candor-dense-1"


class DenseFFN(nn.Module):
    """A frozen FFN with a low-rank delta to each of its three matrices; ``x`` (..., hidden) to the same shape."""

    def __init__(self, public: LlamaMLP, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        hidden, width = public.gate_proj.in_features, public.gate_proj.out_features
        self.public = public
        self.gate = LowRankDelta(width, hidden, rank, generator)
        self.up = LowRankDelta(width, hidden, rank, generator)
        self.down = LowRankDelta(hidden, width, rank, generator)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., hidden) -> (..., hidden), in x's dtype."""
        gate = self.public.gate_proj(x) + self.gate(x)
        inner = F.silu(gate) * (self.public.up_proj(x) + self.up(x))
        out: Tensor = self.public.down_proj(inner) + self.down(inner)
        return out


@dataclass(frozen=True)
class DenseDelta:
    """What a dense training added to the anchor's FFNs, read from its file."""

    card: dict[str, Any]
    tensors: dict[str, Tensor]

    def delta(self, layer: int, projection: str) -> Tensor:
        """What was added to the public weight of a projection, (out, in), fp32."""
        a, b = (self.tensors[f"layers.{layer}.{projection}.{side}"].float() for side in "ab")
        return b @ a


def read_dense(file: Path, anchor: Path) -> DenseDelta:
    """Read what `train_dense` wrote. Raises WrongAnchor when it was trained on another than ``anchor``."""
    return DenseDelta(*read_changes(file, anchor, FORMAT, "a dense baseline"))


def attach_dense(model: CausalLM, rank: int, seed: int) -> list[DenseFFN]:
    """Put a `DenseFFN` in place of every FFN of ``model``, whose weights are frozen; returns them, first first."""
    generator = torch.Generator().manual_seed(seed)
    layers = [DenseFFN(layer.mlp, rank, generator) for layer in model.model.layers]
    for layer, ffn in zip(model.model.layers, layers, strict=True):
        layer.mlp = ffn
    return layers


def dense_parameters(layers: Sequence[DenseFFN]) -> Iterator[nn.Parameter]:
    """The parameters that are trained, in a fixed order."""
    for layer in layers:
        yield from (parameter for parameter in layer.parameters() if parameter.requires_grad)


def write_dense(file: Path, layers: Sequence[DenseFFN], anchor_sha256: str, card: dict[str, Any]) -> Path:
    """Write what was trained, with ``card``, how it was; returns ``file``."""
    tensors = {
        f"layers.{i}.{name}.{side}": getattr(getattr(layer, name), side)
        for i, layer in enumerate(layers)
        for name in PROJECTIONS
        for side in "ab"
    }
    return write_changes(file, tensors, FORMAT, anchor_sha256, card)
