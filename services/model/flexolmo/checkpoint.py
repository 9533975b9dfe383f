"""The state of a training on disk, so that a killed one goes on."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class OtherTraining(ValueError):
    """A checkpoint belongs to a training on another anchor, text or settings."""


@dataclass(frozen=True)
class State:
    """Everything a training needs to go on; the text it sees depends only on the step."""

    identity: dict[str, Any]
    """Hashes of anchor and text, and the settings: what makes two trainings the same."""
    parameters: list[Tensor]
    optimiser: dict[str, Any]
    losses: list[float]
    """Of the steps done, in nats a token."""
    seconds: float
    """Wall time spent so far."""


def save(file: Path, state: State) -> None:
    """Write the checkpoint so that a kill at any moment leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    torch.save({name: getattr(state, name) for name in State.__dataclass_fields__}, part)
    os.replace(part, file)


def load(file: Path, identity: dict[str, Any]) -> State | None:
    """Read a checkpoint; None when there is none. Raises OtherTraining when it is not of ``identity``."""
    if not file.exists():
        return None
    state = State(**torch.load(file, weights_only=True))
    if state.identity != identity:
        differs = sorted(name for name in identity if state.identity.get(name) != identity[name])
        raise OtherTraining(
            f"{file} is the checkpoint of another training (it differs in {', '.join(differs)}): "
            "delete it, or name another."
        )
    return state
