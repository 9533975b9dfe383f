"""Write an owner's trained expert as one file: what leaves the owner's machine, and all that leaves it."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from services.model.flexolmo.checkpoint import State
from services.model.flexolmo.expert import FORMAT, FULL, content_hash
from services.model.flexolmo.train import Trained
from services.model.flexolmo.training import first_loss, last_loss


class Unfinished(ValueError):
    """A training has steps left to do."""


def export(trained: Trained, file: Path) -> Path:
    """Write ``trained`` to ``file`` (safetensors) with its metadata; returns ``file``."""
    return write(trained.state, file)


def write(state: State, file: Path) -> Path:
    """Write the expert of a finished training's checkpoint to ``file``; returns ``file``. Raises Unfinished."""
    training, done = state.training, len(state.losses)
    if done < training.settings.steps:
        raise Unfinished(
            f"The training of {training.owner!r} did {done} of {training.settings.steps} steps: "
            "call `candor expert train` again, it goes on from there."
        )
    # The bias is an aid to training, and no part of the expert.
    tensors = {
        name: parameter.to(torch.bfloat16).contiguous()
        for name, parameter in state.parameters.items()
        if not name.endswith(".bias")
    }
    card = {
        "settings": asdict(training.settings),
        "tokens": training.settings.tokens,
        "documents": training.documents,
        "text_tokens": training.text_tokens,
        "data_sha256": training.data_sha256,
        "public_sha256": training.public_sha256,
        "first_loss": round(first_loss(state.losses), 4),
        "last_loss": round(last_loss(state.losses), 4),
        "seconds": round(state.seconds),
        "command": training.command(),
    }
    rank = training.settings.rank
    metadata = {
        "format": FORMAT,
        "owner": training.owner,
        "licence": training.licence,
        "architecture": training.architecture,
        "anchor_sha256": training.anchor.sha256,
        "anchor_tensors": json.dumps(training.anchor.tensors, separators=(",", ":")),
        "rank": FULL if rank is None else str(rank),
        "layers": str(len(training.base)),
        "base": json.dumps(training.base),
        "card": json.dumps(card, sort_keys=True),
    }
    metadata["sha256"] = content_hash(metadata, tensors)
    file.parent.mkdir(parents=True, exist_ok=True)
    # A reader must never find half a file: the embedded model may be building at this moment.
    part = file.with_name(f"{file.name}.part")
    save_file(tensors, part, metadata)
    _order(part)
    os.replace(part, file)
    return file


def _order(file: Path) -> None:
    """Put a safetensors file's metadata into the order of the names, in place; safetensors writes them in any order.

    So that one training is one file, byte for byte, however often it is written.
    """
    with file.open("r+b") as stored:
        length = int.from_bytes(stored.read(8), "little")
        header = json.loads(stored.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > length:
            raise RuntimeError(f"the header of {file} would grow from {length} to {len(text)} bytes")
        stored.seek(8)
        # the spaces that align the tensors, as the format asks
        stored.write(text.ljust(length))
