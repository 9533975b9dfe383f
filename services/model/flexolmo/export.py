"""An owner's expert as one file: what leaves the owner's machine, and all that leaves it.

Tensors, for each layer i (bf16): ``layers.i.{gate,up,down}.{a,b}``, the low-rank factors, and ``layers.i.router``
(hidden,), the owner's router row minus the public row of its own training. The rest is metadata: no text,
and of the text only one hash.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from services.model.flexolmo.anchor import Fingerprint, WrongAnchor
from services.model.flexolmo.lowrank import PROJECTIONS, TwoExpertFFN
from services.model.flexolmo.train import Trained

FORMAT = "candor-expert-1"


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
    save_file(tensors, file, metadata=metadata)
    return file


def read_expert(file: Path) -> Expert:
    """Read and check an expert's file: complete, of consistent shapes, every number finite.

    Raises BrokenExpert, saying what is wrong.
    """
    with safe_open(file, framework="pt") as stored:
        metadata = stored.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise BrokenExpert(f"{file} is not an expert file ({FORMAT}).")
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  not a mapping
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


def _stored(parameter: Tensor) -> Tensor:
    return parameter.detach().to(torch.bfloat16).contiguous()


def _check(expert: Expert, file: Path) -> None:
    for i in range(expert.layers):
        names = [f"layers.{i}.{p}.{side}" for p in PROJECTIONS for side in "ab"] + [f"layers.{i}.router"]
        missing = [name for name in names if name not in expert.tensors]
        if missing:
            raise BrokenExpert(f"{file} lacks {missing[0]}.")
        for name in PROJECTIONS:
            a, b = expert.factors(i, name)
            if a.shape[0] != expert.rank or b.shape[1] != expert.rank:
                raise BrokenExpert(f"{file}: layers.{i}.{name} is not of rank {expert.rank}.")
    for name, tensor in expert.tensors.items():
        if not torch.isfinite(tensor).all():
            raise BrokenExpert(f"{file}: {name} holds a number that is not finite.")
