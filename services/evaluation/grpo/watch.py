"""Tests the model on the way: the same problems, greedily, every few rollouts; kept in a file, a line a sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from transformers import TrainerCallback

from services.evaluation.grpo.data import Problem
from services.evaluation.grpo.equal import right
from services.evaluation.grpo.files import write
from services.evaluation.grpo.generation import prompt, responses
from services.evaluation.grpo.measures import Sheet
from services.evaluation.grpo.rewards import coded
from services.evaluation.grpo.settings import Training

TEMPERATURE = 0.6
"""Of avg@k, as in the paper."""


class Watch(TrainerCallback):
    """Before the first step, then every `evaluate_every` rollouts, and after the last."""

    def __init__(self, training: Training, problems: Sequence[Problem], tokenizer: Any, file: Path) -> None:
        self._training, self._problems, self._tokenizer, self._file = training, problems, tokenizer, file

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:  # noqa: ARG002 - transformers'
        """What a killed process saw after its last checkpoint is seen again."""
        kept = [sheet for sheet in sheets(self._file) if sheet.step <= state.global_step]
        write(self._file, "".join(f"{sheet.model_dump_json()}\n" for sheet in kept))
        if not kept:
            self._look(given["model"], 0, sampled=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:  # noqa: ARG002 - transformers'
        """Before the checkpoint of the step, if there is one."""
        last = state.global_step == state.max_steps
        if last or state.global_step % (self._training.updates * self._training.budget.evaluate_every) == 0:
            self._look(given["model"], state.global_step, sampled=last)

    def _look(self, model: Any, step: int, *, sampled: bool) -> None:
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(f"{self._test(model, step, sampled).model_dump_json()}\n")

    def _test(self, model: Any, step: int, sampled: bool) -> Sheet:
        """The problems answered greedily, and with `sampled` also several times each at a temperature."""
        budget, asked = self._training.budget, [prompt(self._training, one) for one in self._problems]
        golds = [one.gold for one in self._problems]
        said = responses(
            model, self._tokenizer, asked, tokens=budget.max_tokens, temperature=0.0, seed=0, batch=budget.forwarded
        )
        average = None
        if sampled and budget.sampled:
            many = responses(
                model,
                self._tokenizer,
                asked * budget.sampled,
                tokens=budget.max_tokens,
                temperature=TEMPERATURE,
                seed=self._training.seed,
                batch=budget.forwarded,
            )
            average = fmean(right(one.text, gold) for one, gold in zip(many, golds * budget.sampled, strict=True))
        return Sheet(
            step=step,
            right=_flags(right(one.text, gold) for one, gold in zip(said, golds, strict=True)),
            code=_flags(coded(one.text) for one in said),
            cut=_flags(one.cut for one in said),
            sampled=average,
        )


def sheets(file: Path) -> list[Sheet]:
    """The sheets of a file; none if it is not there. A last line that a kill cut off is left out."""
    if not file.exists():
        return []
    text = file.read_text(encoding="utf-8")
    return [Sheet.model_validate_json(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _flags(found: Iterable[bool]) -> str:
    return "".join("01"[one] for one in found)
