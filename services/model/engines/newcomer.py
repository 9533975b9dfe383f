"""An owner's expert file as weights that can join a running model: bit for bit those that a merge would have made."""

from __future__ import annotations

from pathlib import Path

import torch

from services.model.engines.base import BadExpert, ExpertLayer, NewExpert, OtherAnchor
from services.model.engines.factored import Whole
from services.model.engines.factoring import factors
from services.model.flexolmo.anchor import WrongAnchor, read_config
from services.model.flexolmo.expert import BrokenExpert, Expert, read_expert
from services.model.flexolmo.merge import join
from services.model.flexolmo.merged import Origin, StoredExperts
from services.model.flexolmo.verify import check_start


def newcomer(file: Path, model: Origin, dtype: torch.dtype, *, factored: bool) -> NewExpert:
    """The expert of a file for the merged `model`, in the dtype the model computes in.

    `factored`: the model computes experts of low rank as what they are; to any other all experts are whole.
    Raises BadExpert, OtherAnchor.
    """
    expert = _read(file)
    if expert.anchor.sha256 != model.sha256:
        raise OtherAnchor(
            f"the expert of {expert.owner!r} was trained on another anchor ({expert.anchor.sha256[:12]}) "
            f"than the served model's ({model.sha256[:12]})"
        )
    try:
        check_start(expert, model.architecture, model.public)
    except WrongAnchor as error:
        raise BadExpert(_clause(error)) from error
    _check_shapes(expert, model.folder)
    stored = StoredExperts(model.folder)
    if factored and expert.rank is not None:
        layers = [_factored(expert, index, stored, dtype) for index in range(expert.layers)]
    else:
        layers = [_whole(expert, index, stored, dtype) for index in range(expert.layers)]
    tokens = expert.card.get("tokens")
    return NewExpert(expert.owner, expert.licence, tokens if isinstance(tokens, int) else None, layers)


def _read(file: Path) -> Expert:
    try:
        return read_expert(file)
    except BrokenExpert as error:
        # who uploaded it does not know the name that the file has here
        raise BadExpert(_clause(error).replace(f"{file}: ", "").replace(str(file), "it")) from error
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise BadExpert(f"its metadata cannot be read: {error}") from error


def _check_shapes(expert: Expert, folder: Path) -> None:
    config = read_config(folder)
    for what, its, models in (
        ("layers", expert.layers, config.num_hidden_layers),
        ("hidden size", expert.hidden, config.hidden_size),
        ("FFN width", expert.width, config.intermediate_size),
    ):
        if its != models:
            raise BadExpert(f"the expert of {expert.owner!r} has {what} {its}, the served model {models}")


def _clause(error: Exception) -> str:
    """A sentence as the end of another one."""
    said = str(error).removesuffix(".")
    return said[:1].lower() + said[1:]


def _factored(expert: Expert, index: int, stored: StoredExperts, dtype: torch.dtype) -> ExpertLayer:
    base = stored.router(index, expert.base[index])
    # rounded as a merge rounds it
    router = (base.float() + expert.router(index)).to(base.dtype)
    return ExpertLayer(factors(expert, index, dtype), router.to(dtype))


def _whole(expert: Expert, index: int, stored: StoredExperts, dtype: torch.dtype) -> ExpertLayer:
    weights = join(expert, index, stored.layer(index, expert.base[index]))
    gate_up = torch.cat([weights["gate"], weights["up"]])
    return ExpertLayer(Whole(gate_up.to(dtype), weights["down"].to(dtype)), weights["router"].to(dtype))
