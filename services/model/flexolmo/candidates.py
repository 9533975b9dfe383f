"""The models that are compared: the public one, the baselines, each owner's own, and the merge in several forms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.model.flexolmo.anchor import load_anchor
from services.model.flexolmo.baselines import averaged, with_dense
from services.model.flexolmo.dense import read_dense
from services.model.flexolmo.expert import Expert, read_expert
from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.mixture import attach_mixture
from services.model.flexolmo.precision import compute_dtype
from services.model.flexolmo.tune import read_router

PUBLIC, DENSE, AVERAGE = "public model", "dense, all the text", "average of weights"
ENSEMBLE, WEIGHTED = "ensemble, mean", "ensemble, weighted"
MERGED, TUNED = "merged, k = 2", "merged, tuned router"


@dataclass(frozen=True)
class Candidate:
    """A model to measure, not loaded yet."""

    name: str
    load: Callable[[], CausalLM]
    depends_on: tuple[object, ...]
    """What it is made of, besides the anchor: paths of files, and settings."""
    asked: bool = True
    """Whether it is asked the questions too."""


def candidates(anchor: Path, files: Sequence[Path], dense: Path | None, router: Path | None) -> list[Candidate]:
    """The public model, the baselines, each expert as it was trained, and the merge at several k.

    ``dense`` and ``router`` (tuned rows, see `tune`) are optional.
    """
    experts = [read_expert(file) for file in files]
    everyone = len(experts) + 1

    def mixture(of: Sequence[Expert], k: int, rows: Path | None = None) -> Callable[[], CausalLM]:
        def load() -> CausalLM:
            model = load_anchor(anchor, compute_dtype())
            attach_mixture(model, of, k, read_router(rows) if rows else None)
            return model

        return load

    found = [Candidate(PUBLIC, lambda: load_anchor(anchor, compute_dtype()), ())]
    if dense is not None:
        found.append(Candidate(DENSE, lambda: with_dense(anchor, read_dense(dense, anchor)), (dense,)))
    found.append(Candidate(AVERAGE, lambda: averaged(anchor, experts), ("average", *files)))
    # an owner's own model: its expert beside the public one, as it was trained
    found += [
        Candidate(alone(e.owner), mixture([e], 2), ("alone", file)) for e, file in zip(experts, files, strict=True)
    ]
    found.append(Candidate(MERGED, mixture(experts, 2), (2, *files)))
    if router is not None:
        found.append(Candidate(TUNED, mixture(experts, 2, router), (2, router, *files)))
    found += [
        Candidate(f"merged, k = {k}", mixture(experts, k), (k, *files), asked=False)
        for k in sorted({1, 3, everyone} - {2})
    ]
    return found


def alone(owner: str) -> str:
    """The name of an owner's own model: the public model and its expert, as it was trained."""
    return f"alone: {owner}"
