"""A low-rank change of every matrix of a dense model, trained with the model frozen, and its file.

Tensors (bf16): ``NAME.a`` (rank, in) and ``NAME.b`` (out, rank) for each changed matrix, by its name in the model:
``model.layers.0.self_attn.q_proj``. The change is b @ a.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from services.model.flexolmo.deltas import LowRankDelta
from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.stored import read_changes, write_changes

FORMAT = "candor-adapter-1"
_CHANGED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Adapted(nn.Module):
    """A frozen linear map with a low-rank change: (..., in) to (..., out)."""

    def __init__(self, public: nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.public = public
        self.delta = LowRankDelta(public.out_features, public.in_features, rank, generator)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out), in x's dtype."""
        out: Tensor = self.public(x) + self.delta(x)
        return out


def attach(model: CausalLM, rank: int, seed: int, first_layer: int = 0) -> dict[str, LowRankDelta]:
    """Put an `Adapted` in place of every matrix of the layers from ``first_layer`` on; returns the changes by name."""
    generator, changes = torch.Generator().manual_seed(seed), dict[str, LowRankDelta]()
    for number, layer in enumerate(model.model.layers):
        for name, module in list(layer.named_modules()) if number >= first_layer else ():
            parent, _, last = name.rpartition(".")
            if last in _CHANGED and isinstance(module, nn.Linear):
                adapted = Adapted(module, rank, generator)
                setattr(layer.get_submodule(parent), last, adapted)
                changes[f"model.layers.{number}.{name}"] = adapted.delta
    return changes


def write(file: Path, tensors: dict[str, Tensor], anchor_sha256: str, card: dict[str, Any]) -> Path:
    """Write what was trained, by `NAME.a` and `NAME.b`, with ``card``, how it was; returns ``file``."""
    return write_changes(file, tensors, FORMAT, anchor_sha256, card)


@dataclass(frozen=True)
class Adapter:
    """An adapter, read from its file."""

    card: dict[str, Any]
    tensors: dict[str, Tensor]

    def delta(self, name: str) -> Tensor | None:
        """What is added to the matrix of this name, (out, in) fp32; None where nothing is."""
        if f"{name}.a" not in self.tensors:
            return None
        return self.tensors[f"{name}.b"].float() @ self.tensors[f"{name}.a"].float()


def read(file: Path, anchor: Path) -> Adapter:
    """Read what `write` wrote. Raises WrongAnchor when it is not of ``anchor``, ValueError for another file."""
    return Adapter(*read_changes(file, anchor, FORMAT, "an adapter"))


def applied(anchor: Path, adapter: Adapter) -> dict[str, Tensor]:
    """The tensors of the checkpoint ``anchor`` with the adapter's changes, each rounded once, to its dtype."""
    tensors: dict[str, Tensor] = {}
    for file in sorted(anchor.glob("*.safetensors")):
        for name, tensor in load_file(file).items():
            delta = adapter.delta(name.removesuffix(".weight"))
            tensors[name] = tensor if delta is None else (tensor.float() + delta).to(tensor.dtype)
    return tensors
