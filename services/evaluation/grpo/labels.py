"""The majority's label of each training problem: the answer that most samples of the untrained model give."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.evaluation.grpo.data import Problem
from services.evaluation.grpo.equal import equal
from services.evaluation.grpo.files import alone, write
from services.evaluation.grpo.generation import prompt, responses
from services.evaluation.grpo.settings import Training
from services.evaluation.metrics.maths import final_answer


def majority(answers: Sequence[str]) -> str | None:
    """The answer that most are equal to, of equally many the one said first; no answer is none. None without any."""
    classes: list[list[str]] = []
    for answer in answers:
        if not answer.strip():
            continue
        of = next((one for one in classes if equal(answer, one[0])), None)
        if of is None:
            classes.append([answer])
        else:
            of.append(answer)
    return max(classes, key=len)[0] if classes else None


def labels(
    training: Training, problems: Sequence[Problem], model: Any, tokenizer: Any, *, folder: Path, untrained: str
) -> dict[str, str | None]:
    """By problem's id, made once for all trainings of a model: in a file of the folder, named by what decides them.

    `untrained` is the hash of the model's weights.
    """
    budget = training.budget
    content = [untrained, training.prompt, training.chat, budget.label_samples, budget.max_tokens, budget.forwarded]
    asked = [(one.id, one.question) for one in problems]
    key = hashlib.sha256(json.dumps([content, asked]).encode()).hexdigest()[:16]
    file = folder / f"labels-{key}.json"
    with alone(folder / f"labels-{key}.lock"):
        if not file.exists():
            write(file, json.dumps(_made(training, problems, model, tokenizer)))
    kept: dict[str, str | None] = json.loads(file.read_text(encoding="utf-8"))
    return kept


def _made(training: Training, problems: Sequence[Problem], model: Any, tokenizer: Any) -> dict[str, str | None]:
    found, budget = dict[str, str | None](), training.budget
    together = max(1, budget.forwarded // budget.label_samples)
    for start in range(0, len(problems), together):
        part = problems[start : start + together]
        said = responses(
            model,
            tokenizer,
            [prompt(training, problem) for problem in part for _ in range(budget.label_samples)],
            tokens=budget.max_tokens,
            temperature=1.0,
            seed=start,
            batch=budget.forwarded,
        )
        for at, problem in enumerate(part):
            samples = said[at * budget.label_samples : (at + 1) * budget.label_samples]
            found[problem.id] = majority([final_answer(one.text) for one in samples])
    return found


def told(problems: Sequence[Problem], found: dict[str, str | None]) -> dict[str, int]:
    """How many labels are right, wrong and missing."""
    counts = {"right": 0, "wrong": 0, "missing": 0}
    for problem in problems:
        label = found[problem.id]
        counts["missing" if label is None else "right" if equal(label, problem.gold) else "wrong"] += 1
    return counts
