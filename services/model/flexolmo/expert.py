"""An owner's expert as a file: reading it, and checking it before it joins anything.

Tensors, for each layer i (bf16): ``layers.i.{gate,up,down}.{a,b}``, the low-rank factors, and ``layers.i.router``
(hidden,), the owner's router row minus the public row of its own training. The rest is metadata: no text,
and of the text only one hash.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from services.model.flexolmo.anchor import Fingerprint, WrongAnchor, fingerprint
from services.model.flexolmo.lowrank import PROJECTIONS, TwoExpertFFN

FORMAT = "candor-expert-1"
_METADATA = {"owner", "licence", "anchor_sha256", "anchor_tensors", "rank", "layers", "card"}


class BrokenExpert(ValueError):
    """A file is not an expert, or not a whole one."""


@dataclass(frozen=True)
class Expert:
    """An expert read from its file."""

    owner: str
    licence: str
    anchor: Fingerprint
    rank: int
    layers: int
    card: dict[str, object]
    """How it was trained: settings, tokens, documents, hash of the text, command, seconds."""
    tensors: dict[str, Tensor]

    def factors(self, layer: int, projection: str) -> tuple[Tensor, Tensor]:
        """The low-rank factors a (rank, in) and b (out, rank) of a projection, fp32."""
        a, b = (self.tensors[f"layers.{layer}.{projection}.{side}"].float() for side in "ab")
        return a, b

    def delta(self, layer: int, projection: str) -> Tensor:
        """What the expert adds to the public weight of a projection, (out, in), fp32."""
        a, b = self.factors(layer, projection)
        return b @ a

    def router(self, layer: int) -> Tensor:
        """The owner's router row (hidden,), against a public row of 0, fp32."""
        return self.tensors[f"layers.{layer}.router"].float()


def read_expert(file: Path) -> Expert:
    """Read and check an expert's file: complete, of consistent shapes, every number finite.

    Raises BrokenExpert, saying what is wrong.
    """
    try:
        stored: Any = safe_open(file, framework="pt")
    except SafetensorError as error:
        raise BrokenExpert(f"{file} is not a whole safetensors file: {error}") from error
    with stored:
        metadata = stored.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise BrokenExpert(f"{file} is not an expert file ({FORMAT}).")
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  not a mapping
    missing = sorted(_METADATA - metadata.keys())
    if missing:
        raise BrokenExpert(f"{file} does not say its {missing[0]}.")
    expert = Expert(
        owner=metadata["owner"],
        licence=metadata["licence"],
        anchor=Fingerprint(metadata["anchor_sha256"], json.loads(metadata["anchor_tensors"])),
        rank=int(metadata["rank"]),
        layers=int(metadata["layers"]),
        card=json.loads(metadata["card"]),
        tensors=tensors,
    )
    _check(expert, file)
    return expert


def verify(file: Path, anchor: Path) -> Expert:
    """Read an expert's file and check it against the dense checkpoint ``anchor``; returns the expert.

    It holds no shared weight, so none can have moved. Raises BrokenExpert and WrongAnchor.
    """
    expert = read_expert(file)
    check_anchor(expert, fingerprint(anchor))
    return expert


def check_anchor(expert: Expert, anchor: Fingerprint) -> None:
    """Raise WrongAnchor, naming a tensor that differs, unless ``expert`` was trained on ``anchor``."""
    if expert.anchor.sha256 != anchor.sha256:
        tensor = expert.anchor.difference(anchor)
        raise WrongAnchor(
            f"The expert of {expert.owner!r} was trained on another anchor ({expert.anchor.sha256[:12]}, "
            f"not {anchor.sha256[:12]}); the first tensor that differs is {tensor}."
        )


def load_into(expert: Expert, layers: list[TwoExpertFFN]) -> None:
    """Put an expert's weights into two-expert FFNs of the same rank, in place."""
    with torch.no_grad():
        for i, layer in enumerate(layers):
            layer.router.copy_(expert.router(i))
            for name in PROJECTIONS:
                delta = getattr(layer, name)
                a, b = expert.factors(i, name)
                delta.a.copy_(a)
                delta.b.copy_(b)


def _check(expert: Expert, file: Path) -> None:
    expected = {
        f"layers.{i}.{part}"
        for i in range(expert.layers)
        for part in ("router", *(f"{name}.{side}" for name in PROJECTIONS for side in "ab"))
    }
    for name in sorted(expected - expert.tensors.keys()):
        raise BrokenExpert(f"{file} lacks {name}.")
    for name in sorted(expert.tensors.keys() - expected):
        raise BrokenExpert(f"{file} holds {name}, which is no part of an expert.")
    (hidden,), (width, _) = expert.router(0).shape, expert.factors(0, "gate")[1].shape
    shapes = {"gate": (hidden, width), "up": (hidden, width), "down": (width, hidden)}
    for i in range(expert.layers):
        for name, (inputs, outputs) in shapes.items():
            a, b = expert.factors(i, name)
            if a.shape != (expert.rank, inputs) or b.shape != (outputs, expert.rank):
                raise BrokenExpert(f"{file}: layers.{i}.{name} is not a rank {expert.rank} change of its matrix.")
    for name, tensor in expert.tensors.items():
        if not torch.isfinite(tensor).all():
            raise BrokenExpert(f"{file}: {name} holds a number that is not finite.")
