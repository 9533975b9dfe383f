"""Experts that nobody trained, as files: random, and different enough that a wrong one shows."""

from __future__ import annotations

from pathlib import Path

import torch

from services.model.flexolmo.anchor import fingerprint, load_anchor
from services.model.flexolmo.export import export
from services.model.flexolmo.lowrank import attach_expert, trained_parameters
from services.model.flexolmo.train import Settings, Trained


def make_expert(anchor: Path, owner: str, file: Path, seed: int) -> Path:
    """Write an owner's random expert for an anchor; returns the file."""
    model = load_anchor(anchor)
    layers = attach_expert(model, rank=4, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for parameter in trained_parameters(layers):
        parameter.data = torch.randn(parameter.shape, generator=generator) / 4
    trained = Trained(
        owner=owner,
        licence="CC0-1.0",
        model=model,
        layers=layers,
        anchor=fingerprint(anchor),
        settings=Settings(rank=4, steps=10),
        documents=1,
        data_sha256="0" * 64,
        losses=[1.0],
        seconds=1.0,
    )
    return export(trained, file, command="none")
