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
from transformers import AutoTokenizer, LlamaForCausalLM

from services.model.flexolmo.anchor import fingerprint, load_anchor
from services.model.flexolmo.baselines import averaged, with_dense
from services.model.flexolmo.dense import read_dense
from services.model.flexolmo.ensemble import mean_of_models, posterior_weighted
from services.model.flexolmo.expert import Expert, read_expert
from services.model.flexolmo.heldout import Heldout, read_heldout
from services.model.flexolmo.likelihood import LogProbs, target_logprobs
from services.model.flexolmo.mixture import attach_mixture
from services.model.flexolmo.perplexity import Scores
from services.model.flexolmo.precision import fast_dtype
from services.model.flexolmo.questions import SETS, Item, answer_logprobs, gold, read_items, right
from services.model.flexolmo.tune import read_router

PUBLIC, DENSE, AVERAGE = "public model", "dense, all the text", "average of weights"
ENSEMBLE, WEIGHTED = "ensemble, mean", "ensemble, weighted"
MERGED, TUNED = "merged, k = 2", "merged, tuned router"

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


@dataclass(frozen=True)
class Task:
    """A held-out text or a set of questions."""

    name: str
    text: Heldout | None
    items: list[Item]

    def logprobs(self, model: LlamaForCausalLM) -> LogProbs:
        """What the model gives each token to be scored."""
        return answer_logprobs(model, self.items) if self.text is None else target_logprobs(model, self.text.windows)

    def tokens(self) -> list[Tensor]:
        """All that the result depends on, but for the model."""
        return self.text.windows if self.text else [t for item in self.items for t in (item.prompt, *item.options)]


@dataclass(frozen=True)
class Candidate:
    """A model to measure, not loaded yet."""

    name: str
    load: Callable[[], LlamaForCausalLM]
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

    def mixture(of: Sequence[Expert], k: int, rows: Path | None = None) -> Callable[[], LlamaForCausalLM]:
        def load() -> LlamaForCausalLM:
            model = load_anchor(anchor, fast_dtype())
            attach_mixture(model, of, k, read_router(rows) if rows else None)
            return model

        return load

    found = [Candidate(PUBLIC, lambda: load_anchor(anchor, fast_dtype()), ())]
    if dense is not None:
        found.append(Candidate(DENSE, lambda: with_dense(anchor, read_dense(dense, anchor)), (dense,)))
    found.append(Candidate(AVERAGE, lambda: averaged(anchor, experts), ("average", *files)))
    # an owner's own model: its expert beside the public one, as it was trained
    found += [
        Candidate(_alone(e.owner), mixture([e], 2), ("alone", file)) for e, file in zip(experts, files, strict=True)
    ]
    found.append(Candidate(MERGED, mixture(experts, 2), (2, *files)))
    if router is not None:
        found.append(Candidate(TUNED, mixture(experts, 2, router), (2, router, *files)))
    found += [
        Candidate(f"merged, k = {k}", mixture(experts, k), (k, *files), asked=False)
        for k in sorted({1, 3, everyone} - {2})
    ]
    return found


def tasks(texts: Sequence[Path], home: Path, anchor: Path, *, windows: int, questions: int) -> list[Task]:
    """Each folder's held-out text, one window a document, and the question sets that were pulled."""
    tokenizer = AutoTokenizer.from_pretrained(anchor)
    held = [read_heldout(folder, tokenizer, windows=windows, per_document=1) for folder in texts]
    asked = [
        Task(kind.name, None, read_items(kind, home, tokenizer, count=questions))
        for kind in SETS
        if questions and (home / "questions" / f"{kind.name}.jsonl").exists()
    ]
    return [*(Task(text.owner, text, []) for text in held), *asked]


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
    alone = [raw[model.name] for model in models if model.name.startswith(_alone(""))]
    if alone:
        for name, mix in ((ENSEMBLE, mean_of_models), (WEIGHTED, posterior_weighted)):
            raw[name] = {task.name: mix([each[task.name] for each in alone]) for task in todo}
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


def _shares(model: LlamaForCausalLM, sequences: Sequence[Tensor]) -> Shares:
    total = torch.zeros(())
    for tokens in sequences:
        model.model(input_ids=tokens[None], use_cache=False)
        total = total + len(tokens) * torch.stack([layer.mlp.share for layer in model.model.layers]).mean(0)
    return (total / sum(map(len, sequences))).double().numpy()


def _alone(owner: str) -> str:
    return f"alone: {owner}"


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
