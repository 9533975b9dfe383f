"""Experts that nobody trained, as files: random, and different enough that a wrong one shows."""

from __future__ import annotations

from pathlib import Path

import torch

from services.model.flexolmo.anchor import fingerprint, load_anchor
from services.model.flexolmo.blocks import attach_expert, named_trained
from services.model.flexolmo.checkpoint import State
from services.model.flexolmo.export import write
from services.model.flexolmo.training import Settings, Training


def make_expert(anchor: Path, owner: str, file: Path, seed: int, rank: int | None = 4, *, base: int = 0) -> Path:
    """Write an owner's random expert for an anchor; returns the file.

    `rank` None is a full one. `base`: the expert it says it started from, whether the anchor has it or not.
    """
    model = load_anchor(anchor)
    layers = attach_expert(model, rank, seed)
    generator = torch.Generator().manual_seed(seed)
    scale = 4 if rank else 16
    parameters = {
        name: torch.randn(parameter.shape, generator=generator) / scale
        for name, parameter in named_trained(layers).items()
    }
    training = Training(
        owner=owner,
        licence="CC0-1.0",
        architecture=model.config.model_type,
        anchor=fingerprint(anchor),
        base=(base,) * len(layers),
        settings=Settings(rank=rank, steps=10),
        documents=1,
        text_tokens=10,
        data_sha256="0" * 64,
        public_sha256="0" * 64,
    )
    return write(State(training, parameters, {}, [1.0] * 10, 1.0), file)
