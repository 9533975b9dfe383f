"""Write an owner's trained expert as one file: what leaves the owner's machine, and all that leaves it."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from services.model.flexolmo.expert import FORMAT
from services.model.flexolmo.lowrank import PROJECTIONS
from services.model.flexolmo.train import Trained


def export(trained: Trained, file: Path, command: str = "") -> Path:
    """Write ``trained`` to ``file`` (safetensors) with its metadata; returns ``file``."""
    tensors: dict[str, Tensor] = {}
    for i, layer in enumerate(trained.layers):
        tensors[f"layers.{i}.router"] = _stored(layer.router)
        for name in PROJECTIONS:
            delta = getattr(layer, name)
            tensors[f"layers.{i}.{name}.a"] = _stored(delta.a)
            tensors[f"layers.{i}.{name}.b"] = _stored(delta.b)
    card = {
        "settings": asdict(trained.settings),
        "tokens": trained.settings.tokens,
        "documents": trained.documents,
        "data_sha256": trained.data_sha256,
        "first_loss": round(sum(trained.losses[:10]) / len(trained.losses[:10]), 4),
        "last_loss": round(sum(trained.losses[-10:]) / len(trained.losses[-10:]), 4),
        "seconds": round(trained.seconds),
        "command": command,
    }
    metadata = {
        "format": FORMAT,
        "owner": trained.owner,
        "licence": trained.licence,
        "architecture": "mixtral",
        "anchor_sha256": trained.anchor.sha256,
        "anchor_tensors": json.dumps(trained.anchor.tensors, separators=(",", ":")),
        "rank": str(trained.settings.rank),
        "layers": str(len(trained.layers)),
        "card": json.dumps(card, sort_keys=True),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    # A reader must never find half a file: the embedded model may be building at this moment.
    part = file.with_suffix(".part")
    save_file(tensors, part, metadata=metadata)
    os.replace(part, file)
    return file


def _stored(parameter: Tensor) -> Tensor:
    return parameter.detach().to(torch.bfloat16).contiguous()
