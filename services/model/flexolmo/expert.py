"""An owner's expert as a file: reading it, and checking that it is whole.

Tensors, for each layer i (bf16): ``layers.i.{gate,up,down}.{a,b}``, the factors of a low-rank delta, or ``.d``, a
full one; and ``layers.i.router`` (hidden,), the owner's router row minus that of the anchor's expert it started
from. The rest is metadata: no text, and of the text only one hash.

Format 2 names the anchor's architecture and the experts started from, and carries a hash of everything in the
file. Format 1 is read as well: low rank, on a dense Llama.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from services.model.flexolmo.anchor import Fingerprint
from services.model.flexolmo.blocks import OwnerBlock, named_trained
from services.model.flexolmo.deltas import PROJECTIONS
from services.model.flexolmo.training import check_owner

FORMAT = "candor-expert-2"
FORMAT_1 = "candor-expert-1"
FULL = "full"
"""What stands for the rank of an expert that has none."""


class BrokenExpert(ValueError):
    """A file is not an expert, or not a whole one."""


@dataclass(frozen=True)
class Expert:
    """An expert read from its file."""

    owner: str
    licence: str
    architecture: str
    """The model type of the anchor."""
    anchor: Fingerprint
    rank: int | None
    """Of its deltas; None when they are full."""
    layers: int
    base: tuple[int, ...]
    """The anchor's expert that the owner's started from, layer by layer."""
    card: dict[str, object]
    """How it was trained: settings, tokens, documents, hash of the text, command, seconds."""
    tensors: dict[str, Tensor]

    @property
    def hidden(self) -> int:
        """The width of the hidden states its FFN reads."""
        return len(self.tensors["layers.0.router"])

    @property
    def width(self) -> int:
        """The width of the hidden states inside its FFN."""
        return len(self.tensors["layers.0.gate.d" if self.rank is None else "layers.0.gate.b"])

    def delta(self, layer: int, projection: str) -> Tensor:
        """What the expert adds to the weight of a projection, (out, in), fp32."""
        if self.rank is None:
            return self.tensors[f"layers.{layer}.{projection}.d"].float()
        a, b = (self.tensors[f"layers.{layer}.{projection}.{side}"].float() for side in "ab")
        return b @ a

    def router(self, layer: int) -> Tensor:
        """The owner's router row (hidden,), less the row of the expert it started from, fp32."""
        return self.tensors[f"layers.{layer}.router"].float()


def read_expert(file: Path) -> Expert:
    """Read and check an expert's file: complete, unchanged, of consistent shapes, every number finite.

    Raises BrokenExpert, saying what is wrong.
    """
    metadata, tensors = _read(file)
    try:
        expert = _expert(metadata, tensors)
        check_owner(expert.owner)
    except KeyError as error:
        raise BrokenExpert(f"{file} does not say its {error.args[0]}.") from error
    except (ValueError, TypeError) as error:
        raise BrokenExpert(f"{file} says something of itself that cannot be: {error}") from error
    _check(expert, file)
    if metadata["format"] == FORMAT and metadata.get("sha256") != content_hash(metadata, tensors):
        raise BrokenExpert(f"{file} was changed after it was written: its SHA-256 is another.")
    return expert


def content_hash(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over all that a file holds, whatever the order it is held in, but for the hash itself."""
    said = json.dumps({name: value for name, value in metadata.items() if name != "sha256"}, sort_keys=True)
    return hashlib.sha256(f"{said} {Fingerprint.of(tensors.items()).sha256}".encode()).hexdigest()


def load_into(expert: Expert, layers: list[OwnerBlock]) -> None:
    """Put an expert's weights into owner's blocks of the same rank, in place."""
    with torch.no_grad():
        for name, parameter in named_trained(layers).items():
            if name in expert.tensors:
                parameter.copy_(expert.tensors[name])


def _read(file: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        stored: Any = safe_open(file, framework="pt")
        with stored:
            metadata = stored.metadata() or {}
            if metadata.get("format") not in (FORMAT, FORMAT_1):
                raise BrokenExpert(f"{file} is not an expert file ({FORMAT}).")
            return metadata, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  not a mapping
    except (SafetensorError, OSError) as error:
        raise BrokenExpert(f"{file} is not a whole safetensors file: {error}") from error


def _expert(metadata: Mapping[str, str], tensors: dict[str, Tensor]) -> Expert:
    """Raises KeyError for what is missing, ValueError or TypeError for what cannot be."""
    layers, first = int(metadata["layers"]), metadata["format"] == FORMAT_1
    base = (0,) * layers if first else tuple(map(int, json.loads(metadata["base"])))
    if layers < 1 or len(base) != layers or min(base) < 0:
        raise ValueError(f"{layers} layers, and {len(base)} experts to start from")
    rank = None if metadata["rank"] == FULL else int(metadata["rank"])
    card, prints = json.loads(metadata["card"]), json.loads(metadata["anchor_tensors"])
    if not isinstance(card, dict) or not isinstance(prints, dict):
        raise TypeError("card and anchor_tensors are objects")
    return Expert(
        owner=metadata["owner"],
        licence=metadata["licence"],
        architecture="llama" if first else metadata["architecture"],
        anchor=Fingerprint(metadata["anchor_sha256"], prints),
        rank=rank,
        layers=layers,
        base=base,
        card=card,
        tensors=tensors,
    )


def _check(expert: Expert, file: Path) -> None:
    sides = "d" if expert.rank is None else "ab"
    expected = {
        f"layers.{i}.{part}"
        for i in range(expert.layers)
        for part in ("router", *(f"{name}.{side}" for name in PROJECTIONS for side in sides))
    }
    for name in sorted(expected - expert.tensors.keys()):
        raise BrokenExpert(f"{file} lacks {name}.")
    for name in sorted(expert.tensors.keys() - expected):
        raise BrokenExpert(f"{file} holds {name}, which is no part of an expert.")
    for name, tensor in expert.tensors.items():
        if tensor.dim() != (1 if name.endswith("router") else 2) or not tensor.is_floating_point():
            raise BrokenExpert(f"{file}: {name} is {tensor.dtype} of shape {tuple(tensor.shape)}.")
        if not torch.isfinite(tensor).all():
            raise BrokenExpert(f"{file}: {name} holds a number that is not finite.")
    hidden, width, rank = expert.hidden, expert.width, expert.rank
    for i in range(expert.layers):
        if len(expert.tensors[f"layers.{i}.router"]) != hidden:
            raise BrokenExpert(f"{file}: layers.{i}.router is not of the {hidden} numbers of the others.")
        for name in PROJECTIONS:
            outputs, inputs = (hidden, width) if name == "down" else (width, hidden)
            shapes = {"d": (outputs, inputs), "a": (rank, inputs), "b": (outputs, rank)}
            if any(expert.tensors[f"layers.{i}.{name}.{side}"].shape != shapes[side] for side in sides):
                what = "full" if rank is None else f"rank {rank}"
                raise BrokenExpert(f"{file}: layers.{i}.{name} is not a {what} change of its matrix.")
