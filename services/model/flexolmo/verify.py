"""Whether an expert belongs to an anchor: the same weights, by hash, and the shapes of its FFNs."""

from pathlib import Path
from typing import Any

from services.model.flexolmo.anchor import Fingerprint, WrongAnchor, fingerprint, read_config
from services.model.flexolmo.expert import Expert, read_expert
from services.model.flexolmo.families import family_of


def verify(file: Path, anchor: Path) -> Expert:
    """Read an expert's file and check it against the checkpoint ``anchor``; returns the expert.

    It holds no shared weight, so none can have moved. Raises BrokenExpert, WrongAnchor, and what `read_config` does.
    """
    expert = read_expert(file)
    config = read_config(anchor)
    check_anchor(expert, fingerprint(anchor))
    check_shapes(expert, config)
    return expert


def check_anchor(expert: Expert, anchor: Fingerprint) -> None:
    """Raise WrongAnchor, naming a tensor that differs, unless ``expert`` was trained on ``anchor``."""
    if expert.anchor.sha256 != anchor.sha256:
        tensor = expert.anchor.difference(anchor)
        raise WrongAnchor(
            f"The expert of {expert.owner!r} was trained on another anchor ({expert.anchor.sha256[:12]}, "
            f"not {anchor.sha256[:12]}); the first tensor that differs is {tensor}."
        )


def check_shapes(expert: Expert, config: Any) -> None:
    """Raise WrongAnchor unless the expert's FFNs are of the shapes of the anchor of ``config``."""
    family = family_of(config, "the anchor")
    found = (expert.layers, expert.hidden, expert.width)
    wanted = (config.num_hidden_layers, config.hidden_size, config.intermediate_size)
    if found != wanted:
        names = ("layers", "hidden size", "FFN width")
        name, mine, its = next((n, f, w) for n, f, w in zip(names, found, wanted, strict=True) if f != w)
        raise WrongAnchor(f"The expert of {expert.owner!r} has {name} {mine}, the anchor {its}.")
    check_start(expert, config.model_type, family.experts(config))


def check_start(expert: Expert, architecture: str, public: int) -> None:
    """Raise WrongAnchor unless ``expert`` started from the ``public`` experts of an anchor of ``architecture``.

    In a mixture of that anchor all after these are owners': an expert that says it started from one of them would
    compute with what is its owner's.
    """
    if expert.architecture != architecture:
        raise WrongAnchor(
            f"The expert of {expert.owner!r} has architecture {expert.architecture}, the anchor {architecture}."
        )
    if max(expert.base) >= public:
        raise WrongAnchor(
            f"The expert of {expert.owner!r} started from expert {max(expert.base)}, which the anchor does not have: "
            f"its experts are 0 to {public - 1}."
        )
