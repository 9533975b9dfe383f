"""The state of a training on disk, so that a killed one goes on, and a finished one is exported without its text."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from services.model.flexolmo.training import Training


class OtherTraining(ValueError):
    """A file is no checkpoint, or that of a training on another anchor, text or settings."""


@dataclass(frozen=True)
class State:
    """Everything a training needs to go on; the text it sees depends only on the step."""

    training: Training
    parameters: dict[str, Tensor]
    """What is trained, by the names of `blocks.named_trained`, fp32."""
    optimiser: dict[str, Any]
    losses: list[float]
    """Of the steps done, in nats a token."""
    seconds: float
    """Wall time spent so far."""


def save(file: Path, state: State) -> None:
    """Write the checkpoint so that a kill at any moment leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    stored = {name: getattr(state, name) for name in State.__dataclass_fields__}
    torch.save(stored | {"training": asdict(state.training)}, part)
    os.replace(part, file)


def read(file: Path) -> State:
    """Read a checkpoint. Raises FileNotFoundError, and OtherTraining for a file that is none of this version's."""
    if not file.is_file():
        raise FileNotFoundError(f"There is no checkpoint {file}.")
    try:
        stored = torch.load(file, weights_only=True, map_location="cpu")
        return State(**stored | {"training": Training.of(stored["training"])})
    except Exception as error:  # a damaged archive can raise anything, from KeyError to RuntimeError
        raise OtherTraining(
            f"{file} is not a whole checkpoint of this version ({error}): delete it, or name "
            "another file (--checkpoint FILE)."
        ) from error


def load(file: Path, training: Training) -> State | None:
    """The checkpoint of ``training``; None when there is none, or one of another without a step.

    Raises OtherTraining when it is of another.
    """
    if not file.exists():
        return None
    state = read(file)
    wanted, found = training.identity(), state.training.identity()
    if found != wanted and not state.losses:
        # no step was made: somebody tried other settings and stopped
        return None
    if found != wanted:
        differs = sorted(name for name in wanted if found[name] != wanted[name])
        raise OtherTraining(
            f"{file} is the checkpoint of another training (it differs in {', '.join(differs)}). To go on with that "
            "one, train with what it was begun with; to begin this one, name another file (--checkpoint FILE) or "
            "delete this one."
        )
    return state
