"""One training from its settings to its outcome. A killed one goes on from its last whole checkpoint."""

from __future__ import annotations

import json
import shutil
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.evaluation.grpo.data import apart, chosen, hashed, ordered, problems
from services.evaluation.grpo.families import FAMILIES
from services.evaluation.grpo.files import alone, write
from services.evaluation.grpo.labels import labels, told
from services.evaluation.grpo.rewards import reward
from services.evaluation.grpo.settings import OUTCOME, Outcome, Training
from services.evaluation.grpo.taught import ensure
from services.evaluation.grpo.trainer import rows, trainer
from services.evaluation.grpo.watch import Watch, sheets


class AnotherTraining(Exception):
    """A folder holds another training, or the problems are others; the message says which and what to do."""


def run(training: Training, folder: Path, home: Path, *, keep: bool = False) -> Outcome:
    """Train, in `folder`, and write the outcome there; read it if it is there already.

    One process at a time works in a folder: a second waits for the first. With `keep` the trained model stays in
    ``folder/model``. Raises NothingToTrain, BadOption, MissingData or AnotherTraining.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / "lock"):
        file = folder / OUTCOME
        if file.exists():
            kept = Outcome.model_validate_json(file.read_text(encoding="utf-8"))
            _refuse_another(kept.training, training, folder)
            return kept
        outcome = _train(training, folder, home, keep)
        write(file, outcome.model_dump_json())
        for checkpoint in _checkpoints(folder):
            shutil.rmtree(checkpoint)
    return outcome


def base(name: str, home: Path) -> str:
    """Where the model of a name is: a small family's is taught if it is not there yet."""
    return str(ensure(home, FAMILIES[name])) if name in FAMILIES else name


def fingerprint(model: Any) -> str:
    """SHA-256 of the weights, by their names."""
    content = sha256()
    for name, tensor in sorted(model.state_dict().items()):
        content.update(name.encode())
        content.update(tensor.detach().cpu().float().numpy().tobytes())
    return content.hexdigest()


def _claim(folder: Path, training: Training) -> None:
    """Say whose folder it is: a checkpoint of other settings would be gone on with."""
    file = folder / "training.json"
    if file.exists():
        _refuse_another(Training.model_validate_json(file.read_text(encoding="utf-8")), training, folder)
    else:
        write(file, training.model_dump_json())


def _refuse_another(kept: Training, training: Training, folder: Path) -> None:
    if kept != training.model_copy(update={"problems": training.problems or kept.problems}):
        raise AnotherTraining(
            f"{folder} holds a training with other settings or other problems. Choose another folder, or remove it."
        )


def _train(training: Training, folder: Path, home: Path, keep: bool) -> Outcome:
    if training.budget.cpu:
        # two threads on two busy cores can be ten times slower than one
        torch.set_num_threads(1)
    started, lives = time.perf_counter(), _count_life(folder)
    sentence = reward(training.reward)
    trained, tests = problems(training, "train", home), problems(training, "test", home)
    content = hashed(trained, tests)
    if training.problems not in (None, content):
        raise AnotherTraining("The problems are no longer those that the training was planned with: plan it anew.")
    training = training.model_copy(update={"problems": content})
    _claim(folder, training)
    pool = apart(trained, tests)
    place = base(training.model, home)
    tokenizer = AutoTokenizer.from_pretrained(place, padding_side="left")
    # 32 bits also where bf16 computes: the paper's rate is below what a weight in bf16 can change by
    model = AutoModelForCausalLM.from_pretrained(place, dtype="float32")
    untrained = fingerprint(model)
    held = dict[str, str | None]()
    if sentence.labelled:
        held = labels(training, pool, model, tokenizer, folder=folder.parent, untrained=untrained)
    on = chosen(pool, sentence, held, training.seed)
    data = rows(training, ordered(on, training.budget.rollouts * training.budget.prompts, training.seed), held)
    seen = folder / "sheets.jsonl"
    watch = Watch(training, tests, tokenizer, seen)
    grpo = trainer(training, model, tokenizer, data=data, watch=watch, folder=folder / "checkpoints")
    grpo.train(resume_from_checkpoint=_last(folder))
    if keep:
        grpo.save_model(str(folder / "model"))
    return Outcome(
        training=training,
        base=untrained,
        weights=fingerprint(model),
        trained_on=len(on),
        labels=told(pool, held) if held else {},
        sheets=sheets(seen),
        log=[_line(entry) for entry in grpo.state.log_history if "reward" in entry],
        seconds=time.perf_counter() - started,
        resumed=lives - 1,
    )


_KEPT = (
    "step",
    "reward",
    "code",
    "clip_ratio/region_mean",
    "entropy",
    "completions/mean_length",
    "frac_reward_zero_std",
)


def _line(entry: dict[str, Any]) -> dict[str, Any]:
    """Of trl's log what the report shows."""
    return {name: entry[name] for name in _KEPT if name in entry}


def _last(folder: Path) -> str | None:
    """The latest checkpoint that was written whole. The trainer's state is what is written last into one."""
    for checkpoint in sorted(_checkpoints(folder), key=lambda one: -int(one.name.rsplit("-", 1)[1])):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # killed while it was being written
            shutil.rmtree(checkpoint)
        else:
            return str(checkpoint)
    return None


def _checkpoints(folder: Path) -> list[Path]:
    return list((folder / "checkpoints").glob("checkpoint-*"))


def _count_life(folder: Path) -> int:
    """Which life of the training this is, from 1."""
    file = folder / "lives"
    life = int(file.read_text()) + 1 if file.exists() else 1
    write(file, str(life))
    return life
