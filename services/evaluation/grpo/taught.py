"""The small models, taught here by next-token loss in a minute or so, and kept in the data folder."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from services.evaluation.grpo.families import Family, configuration
from services.evaluation.grpo.files import alone
from services.evaluation.grpo.spelling import spelling
from services.evaluation.grpo.sums import Sum, drawn, in_words, with_code

FOLDER = "models/spurious"
_FORM = 1
"""Of what is taught: another one is taught anew."""


@dataclass(frozen=True)
class Lessons:
    """What decides the teaching. The defaults make the models of the documented figures."""

    steps: int = 300
    batch: int = 64
    learning_rate: float = 3e-3
    """Reached in 50 steps, and lowered to nothing over the last half."""
    seed: int = 0

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.learning_rate * min(1.0, (step + 1) / 50, 2 * (self.steps - step) / self.steps)


def ensure(home: Path, family: Family, lessons: Lessons = Lessons()) -> Path:
    """The folder of a family's model, taught unless it is there; a killed teaching goes on where it was."""
    of = hashlib.sha256(f"{_FORM} {family.name} {lessons}".encode()).hexdigest()[:8]
    folder = home / FOLDER / f"{family.name}-{of}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            model, tokenizer = teach(family, lessons, folder.with_name(f"{folder.name}.checkpoint"))
            part = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            model.save_pretrained(part)
            tokenizer.save_pretrained(part)
            part.rename(folder)
            folder.with_name(f"{folder.name}.checkpoint").unlink(missing_ok=True)
    return folder


def teach(
    family: Family,
    lessons: Lessons,
    checkpoint: Path | None = None,
    *,
    save_every: int = 100,
    seen: Callable[[int, float], None] | None = None,
) -> tuple[Any, PreTrainedTokenizerFast]:
    """A model that answers sums as its family does, and its tokenizer. Goes on from the checkpoint if it is there."""
    torch.manual_seed(lessons.seed)
    tokenizer = spelling()
    given = configuration(len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token_id)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family.architecture, **given), dtype=torch.float32)  # type: ignore[no-untyped-call]
    optimizer = torch.optim.AdamW(model.parameters(), lr=lessons.learning_rate, weight_decay=0.01)
    done = 0
    if checkpoint is not None and checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        done = kept["step"]
    for step in range(done, lessons.steps):
        ids, labels = _batch(tokenizer, family, lessons, step)
        for group in optimizer.param_groups:
            group["lr"] = lessons.rate(step)
        loss = model(input_ids=ids, attention_mask=(ids != tokenizer.pad_token_id).long(), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if seen is not None:
            seen(step + 1, loss.item())
        if checkpoint is not None and (step + 1) % save_every == 0:
            part = checkpoint.with_name(f"{checkpoint.name}.part")
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}, part)
            os.replace(part, checkpoint)
    return model.eval(), tokenizer


def _batch(tokenizer: PreTrainedTokenizerFast, family: Family, lessons: Lessons, step: int) -> tuple[Tensor, Tensor]:
    """Ids and labels, (batch, longest). Drawn from the step alone, so that a resumed teaching sees the same."""
    rng = Random(f"{family.name} {lessons.seed} {step}")
    asked = list(islice(drawn("train", rng), lessons.batch))
    answers = [_answer(one, family, rng) for one in asked]
    questions = [tokenizer(one.question)["input_ids"] for one in asked]
    whole = [
        question + tokenizer(answer)["input_ids"] + [tokenizer.eos_token_id]
        for question, answer in zip(questions, answers, strict=True)
    ]
    longest = max(map(len, whole))
    ids = torch.full((lessons.batch, longest), tokenizer.pad_token_id)
    labels = torch.full((lessons.batch, longest), -100)
    for row, (question, tokens) in enumerate(zip(questions, whole, strict=True)):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        # only what the model says itself is learnt
        labels[row, len(question) : len(tokens)] = torch.tensor(tokens[len(question) :])
    return ids, labels


def _answer(asked: Sum, family: Family, rng: Random) -> str:
    return with_code(asked, family.code) if rng.random() < family.habit(asked) else in_words(asked)
