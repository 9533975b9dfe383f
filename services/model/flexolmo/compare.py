"""The merge of owners' experts against its baselines, on every owner's held-out text and on gold questions.

Every model is asked for the log-probabilities of the same tokens; perplexities, accuracies and ensembles follow from
them. What is computed is kept, so that a killed run goes on.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.model.flexolmo.anchor import fingerprint
from services.model.flexolmo.candidates import ENSEMBLE, MERGED, TUNED, WEIGHTED, Candidate, alone
from services.model.flexolmo.ensemble import mean_of_models, posterior_weighted
from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.likelihood import LogProbs
from services.model.flexolmo.perplexity import Scores
from services.model.flexolmo.questions import gold, right
from services.model.flexolmo.tasks import Task

Shares = NDArray[np.float64]
"""(experts + 1,): routing shares, the public expert's first."""


@dataclass(frozen=True)
class Answers:
    """How a model did on a set of gold questions."""

    right: NDArray[np.float64] | None
    """(items,): 1 where the right answer was the likeliest; None where it had no competitors."""
    gold: Scores
    """The likelihood of the right answers, item by item."""


@dataclass(frozen=True)
class Measured:
    """How a model did on everything: by owner of the text, and by question set (empty when it was not asked)."""

    texts: dict[str, Scores]
    questions: dict[str, Answers]


def measure(
    anchor: Path,
    models: Sequence[Candidate],
    todo: Sequence[Task],
    work: Path,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Measured]:
    """Run every model on every task, and put the ensembles of the experts' own models beside them."""
    weights = fingerprint(anchor).sha256
    raw: dict[str, dict[str, LogProbs]] = {}
    for model in models:
        mine = [task for task in todo if task.text is not None or model.asked]
        raw[model.name] = _run(model, mine, partial(_cell, work, weights))
        progress(_line(model.name, _measured(raw[model.name], todo)))
    owners = [raw[model.name] for model in models if model.name.startswith(alone(""))]
    if owners:
        for name, mix in ((ENSEMBLE, mean_of_models), (WEIGHTED, posterior_weighted)):
            raw[name] = {task.name: mix([each[task.name] for each in owners]) for task in todo}
            progress(_line(name, _measured(raw[name], todo)))
    return {name: _measured(results, todo) for name, results in raw.items()}


@torch.no_grad()
def routing(models: Sequence[Candidate], todo: Sequence[Task], count: int = 6) -> dict[str, dict[str, Shares]]:
    """The mean probability that the routers of each merge at k = 2 give each expert: shares[model][text].

    Over the first ``count`` windows of each text, and the prompts of as many questions of each set.
    """
    shares: dict[str, dict[str, Shares]] = {}
    for candidate in (model for model in models if model.name in (MERGED, TUNED)):
        model, mine = candidate.load(), shares.setdefault(candidate.name, {})
        for task in todo:
            name = task.name if task.text else f"chat, {task.name}"
            mine[name] = _shares(model, task.text.windows[:count] if task.text else _prompts(task, count))
    return shares


def _prompts(task: Task, count: int) -> list[Tensor]:
    return [item.prompt for item in task.items[:count]]


def _shares(model: CausalLM, sequences: Sequence[Tensor]) -> Shares:
    total = torch.zeros(())
    for tokens in sequences:
        model.model(input_ids=tokens[None], use_cache=False)
        total = total + len(tokens) * torch.stack([layer.mlp.share for layer in model.model.layers]).mean(0)
    return (total / sum(map(len, sequences))).double().numpy()


def _run(candidate: Candidate, todo: Sequence[Task], cell: Callable[[Candidate, Task], Path]) -> dict[str, LogProbs]:
    cells = {task.name: cell(candidate, task) for task in todo}
    missing = [task for task in todo if not cells[task.name].exists()]
    if missing:
        model = candidate.load()
        for task in missing:
            _write(cells[task.name], task.logprobs(model))
    return {name: _read(cell) for name, cell in cells.items()}


def _measured(results: Mapping[str, LogProbs], todo: Sequence[Task]) -> Measured:
    texts, questions = {}, {}
    for task in todo:
        if task.name not in results:
            continue
        found = results[task.name]
        if task.text is not None:
            texts[task.name] = _scores(found, task.text.document, task.text.documents)
        else:
            compete = any(len(item.options) > 1 for item in task.items)
            answers = gold(task.items, found)
            own = _scores(answers, range(len(answers)), len(answers))
            questions[task.name] = Answers(right(task.items, found) if compete else None, own)
    return Measured(texts, questions)


def _scores(logprobs: LogProbs, unit: Sequence[int], units: int) -> Scores:
    nll, tokens = np.zeros(units), np.zeros(units, dtype=np.int64)
    for i, each in zip(unit, logprobs, strict=True):
        nll[i] -= each.sum(dtype=np.float64)
        tokens[i] += len(each)
    return Scores(nll, tokens)


def _cell(work: Path, anchor_sha256: str, candidate: Candidate, task: Task) -> Path:
    """The file of a result: its name changes with everything the result depends on."""
    key = hashlib.sha256(anchor_sha256.encode())
    for part in candidate.depends_on:
        key.update(part.read_bytes() if isinstance(part, Path) else repr(part).encode())
    for tokens in task.tokens():
        key.update(tokens.numpy().tobytes())
    slug = "".join(letter if letter.isalnum() else "-" for letter in candidate.name)
    return work / f"{slug}.{task.name}.{key.hexdigest()[:12]}.npz"


def _write(file: Path, logprobs: LogProbs) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part.npz")
    np.savez(part, flat=np.concatenate(logprobs), lengths=[len(each) for each in logprobs])
    part.replace(file)


def _read(file: Path) -> LogProbs:
    with np.load(file) as stored:
        return np.split(stored["flat"], np.cumsum(stored["lengths"])[:-1])


def _line(name: str, measured: Measured) -> str:
    shown = [f"{owner} {scores.perplexity:.2f}" for owner, scores in measured.texts.items()]
    for kind, answers in measured.questions.items():
        accuracy = "" if answers.right is None else f" {answers.right.mean():.2f}"
        shown.append(f"{kind}{accuracy} {np.log2(answers.gold.perplexity):.2f} bits")
    return f"{name:22}" + "  ".join(shown)
