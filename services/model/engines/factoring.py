"""Laying a merged model's experts out as changes of its public FFN, from the experts' own files beside its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from services.model.engines.factored import FactoredExperts, Factors
from services.model.flexolmo.expert import Expert, read_expert
from services.model.flexolmo.families import FAMILIES
from services.model.flexolmo.merge import join
from services.model.flexolmo.merged import StoredExperts, expert_file


def factor(model: Any, directory: Path) -> bool:
    """Replace the fused experts of a model loaded from `directory`, if all are changes of low rank; says whether.

    A merge with a dense anchor leaves the files of such experts. Raises ValueError when one is not of the expert
    that was merged, BrokenExpert when it is none.
    """
    experts = _low_rank(directory)
    layers = [layer.mlp for layer in model.model.layers]
    if experts is None or len(experts) + 1 != len(layers[0].gate.weight):
        return False
    _check(experts, layers[0], directory)
    for index, layer in enumerate(layers):
        gate_up, down = layer.experts.gate_up_proj, layer.experts.down_proj
        changes = [factors(expert, index, down.dtype) for expert in experts]
        # copies: views would keep all the experts in memory
        layer.experts = FactoredExperts(gate_up[0].detach().clone(), down[0].detach().clone(), [None, *changes])
    return True


def factors(expert: Expert, layer: int, dtype: torch.dtype) -> Factors:
    """What a low-rank expert adds in a layer."""
    part = {
        f"{projection}.{side}": expert.tensors[f"layers.{layer}.{projection}.{side}"].to(dtype, copy=True)
        for projection in ("gate", "up", "down")
        for side in "ab"
    }
    gate_up = torch.cat([part["gate.a"], part["up.a"]])
    return Factors(gate_up, part["gate.b"], part["up.b"], part["down.a"], part["down.b"])


def _low_rank(directory: Path) -> list[Expert] | None:
    """The owners' experts in their order; None unless all were merged with one public FFN and left their files."""
    file = directory / "candor.json"
    if not file.is_file():
        return None
    card = json.loads(file.read_text(encoding="utf-8"))
    family = FAMILIES.get(card.get("anchor_architecture", ""))
    if family is None or not family.dense:
        return None
    files = [expert_file(directory, entry["id"]) for entry in card["experts"][1:]]
    return [read_expert(file) for file in files] if all(file.is_file() for file in files) else None


def _check(experts: list[Expert], first: Any, directory: Path) -> None:
    """The first layer tells: what a merge made of these files is what the weights hold."""
    stored = StoredExperts(directory)
    for place, expert in enumerate(experts, start=1):
        merged = join(expert, 0, stored.layer(0, 0))
        held = first.experts.down_proj[place]
        if not torch.equal(merged["down"].to(held.dtype), held):
            file = expert_file(directory, expert.owner)
            raise ValueError(f"{file} is not the expert that was merged into the weights beside it: merge again")
