"""Files of low-rank changes to an anchor: tensors in bf16, and in the metadata the anchor and how they were trained."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from services.model.flexolmo.anchor import WrongAnchor, fingerprint


def write_changes(
    file: Path, tensors: Mapping[str, Tensor], kind: str, anchor_sha256: str, card: dict[str, Any]
) -> Path:
    """Write tensors of the format ``kind`` with ``card``, how they were trained; returns ``file``."""
    stored = {name: tensor.detach().to(torch.bfloat16).contiguous() for name, tensor in tensors.items()}
    metadata = {"format": kind, "anchor_sha256": anchor_sha256, "card": json.dumps(card, sort_keys=True)}
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    save_file(stored, part, metadata)
    os.replace(part, file)
    return file


def read_changes(file: Path, anchor: Path, kind: str, what: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The card and the tensors that `write_changes` wrote; ``what`` the format is of, in words.

    Raises WrongAnchor when it was trained on another than ``anchor``, ValueError for another file.
    """
    with safe_open(file, framework="pt") as stored:
        metadata = stored.metadata() or {}
        if metadata.get("format") != kind:
            raise ValueError(f"{file} is not {what} ({kind}).")
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  not a mapping
    if metadata["anchor_sha256"] != (here := fingerprint(anchor).sha256):
        raise WrongAnchor(f"{file} was trained on another anchor ({metadata['anchor_sha256'][:12]}, not {here[:12]}).")
    return json.loads(metadata["card"]), tensors
