"""An owner's expert file as weights that can join a running model: bit for bit those that a merge would have made."""

from __future__ import annotations

from pathlib import Path

import torch

from services.model.engines.base import BadExpert, ExpertLayer, NewExpert, OtherAnchor
from services.model.flexolmo.expert import BrokenExpert, Expert, read_expert
from services.model.flexolmo.merge import join
from services.model.flexolmo.merged import PublicExpert, anchor_sha256


def newcomer(file: Path, model: Path, dtype: torch.dtype) -> NewExpert:
    """The expert of a file for the model of a folder, in the dtype the model computes in.

    Raises BadExpert, OtherAnchor.
    """
    expert = _read(file)
    own = anchor_sha256(model)
    if own is None:
        raise OtherAnchor(f"{model} does not say which anchor it was merged from: no expert can be checked against it")
    if expert.anchor.sha256 != own:
        raise OtherAnchor(
            f"the expert of {expert.owner!r} was trained on another anchor ({expert.anchor.sha256[:12]}) "
            f"than the served model's ({own[:12]})"
        )
    public = PublicExpert(model)
    try:
        layers = [_layer(expert, index, public, dtype) for index in range(expert.layers)]
    except (RuntimeError, KeyError) as error:
        raise BadExpert(f"the expert has not the model's shapes: {error}") from error
    tokens = expert.card.get("tokens")
    return NewExpert(expert.owner, expert.licence, tokens if isinstance(tokens, int) else None, layers)


def _read(file: Path) -> Expert:
    try:
        return read_expert(file)
    except BrokenExpert as error:
        # who uploaded it does not know the name that the file has here
        raise BadExpert(str(error).replace(str(file), "the file")) from error
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise BadExpert(f"the file's metadata cannot be read: {error}") from error


def _layer(expert: Expert, index: int, public: PublicExpert, dtype: torch.dtype) -> ExpertLayer:
    weights = join(expert, index, public.layer(index))
    gate_up = torch.cat([weights["gate"], weights["up"]])
    return ExpertLayer(gate_up.to(dtype), weights["down"].to(dtype), weights["router"].to(dtype))
