"""What each expert is worth: every expert and every mixture, scored on every owner's held-out text."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.model.flexolmo.anchor import load_anchor
from services.model.flexolmo.blocks import attach_expert
from services.model.flexolmo.expert import load_into, read_expert
from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.heldout import Heldout, read_heldout
from services.model.flexolmo.merge import merge
from services.model.flexolmo.perplexity import Scores, score
from services.model.flexolmo.precision import compute_dtype


@dataclass(frozen=True)
class Variant:
    """A model to measure: the dense anchor, one expert as it was trained, or a mixture."""

    name: str
    experts: tuple[str, ...] = ()
    """Names of expert files; none is the dense anchor."""
    k: int | None = None
    """Experts a token of a mixture; None for one expert as it was trained."""


def variants(owners: tuple[str, ...], control: str) -> list[Variant]:
    """The public model; every expert and the control alone; the mixture of all at each k; one owner left out."""
    alone = [Variant(f"{owner} alone", (owner,)) for owner in (*owners, control)]
    mixtures = [Variant(f"all, k = {k}", owners, k) for k in range(2, len(owners) + 2)]
    without = [Variant(f"without {out}", tuple(o for o in owners if o != out), 2) for out in owners]
    return [Variant("public"), *alone, *mixtures, *without]


def measure(
    anchor: Path,
    experts: Mapping[str, Path],
    models: list[Variant],
    texts: list[Path],
    work: Path,
    *,
    windows: int = 64,
    per_document: int = 3,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, Scores]]:
    """Score every one of ``models`` on every folder of ``texts``: scores[model][owner].

    ``experts`` are the files by name. What is scored is kept in ``work``, so that a killed run goes on.
    """
    tokenizer = AutoTokenizer.from_pretrained(anchor)
    heldout = [read_heldout(folder, tokenizer, windows=windows, per_document=per_document) for folder in texts]
    scores: dict[str, dict[str, Scores]] = {}
    for variant in models:
        cells = {text.owner: _cell(work, variant, experts, text) for text in heldout}
        scores[variant.name] = {}
        missing = [text for text in heldout if not cells[text.owner].exists()]
        if missing:
            with _loaded(variant, anchor, experts, work) as model:
                for text in missing:
                    _write(cells[text.owner], score(model, text))
        for text in heldout:
            scores[variant.name][text.owner] = _read(cells[text.owner])
        progress(_line(variant.name, scores[variant.name]))
    return scores


@contextmanager
def _loaded(variant: Variant, anchor: Path, experts: Mapping[str, Path], work: Path) -> Iterator[CausalLM]:
    if variant.k is None:
        model = load_anchor(anchor, compute_dtype())
        for name in variant.experts:
            expert = read_expert(experts[name])
            load_into(expert, attach_expert(model, expert.rank, 0, expert.base))
            model.train(False)
        yield model
        return
    folder = merge(anchor, [experts[name] for name in variant.experts], work / "mixture", variant.k)
    try:
        yield cast(CausalLM, AutoModelForCausalLM.from_pretrained(folder, dtype=compute_dtype()))
    finally:
        shutil.rmtree(folder)


def _cell(work: Path, variant: Variant, experts: Mapping[str, Path], text: Heldout) -> Path:
    """The file of a score: its name changes with everything the score depends on."""
    key = hashlib.sha256(repr(variant.k).encode())
    for name in variant.experts:
        # The tensors, not the file: its metadata holds the time the training took.
        for tensor in sorted((expert := read_expert(experts[name])).tensors):
            key.update(expert.tensors[tensor].view(torch.uint8).numpy().tobytes())
    for window in text.windows:
        key.update(window.numpy().tobytes())
    return work / f"{variant.name.replace(' ', '-')}.{text.owner}.{key.hexdigest()[:12]}.json"


def _write(file: Path, scores: Scores) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"nll": scores.nll.tolist(), "tokens": scores.tokens.tolist()}), encoding="utf-8")


def _read(file: Path) -> Scores:
    stored = json.loads(file.read_text(encoding="utf-8"))
    return Scores(np.array(stored["nll"]), np.array(stored["tokens"], dtype=np.int64))


def _line(name: str, scores: Mapping[str, Scores]) -> str:
    return f"{name:20}" + "".join(f"{owner} {cell.perplexity:6.2f}  " for owner, cell in scores.items())
