"""The suite: a training is an item, and what it did to accuracy and to code are its scores."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ValidationError

from services.evaluation.endpoint import Endpoint, EndpointError
from services.evaluation.errors import BadOption
from services.evaluation.grpo.data import hashed, problems
from services.evaluation.grpo.families import FAMILIES
from services.evaluation.grpo.measures import SWITCHES, Sheet, switches
from services.evaluation.grpo.settings import OUTCOME, Outcome, Training
from services.evaluation.suites.base import Answer, BadAnswer, Kind, Plan, Planned
from services.evaluation.suites.process import run_program
from services.evaluation.suites.spurious.figures import figures
from services.evaluation.suites.spurious.options import CLIPPINGS, Clipping, SpuriousOptions, bad_budget, setting
from services.evaluation.suites.spurious.telling import told
from shared.contracts.evaluation import Item
from shared.contracts.figure import Figure
from shared.settings import candor_home

FOLDER = "grpo"
"""Of the data folder: a folder for each training, with its checkpoints until it is done."""

MODELS = "models"

_PROGRAM = [sys.executable, "-m", "services.evaluation.grpo"]
_ROOT = Path(__file__).resolve().parents[4]
_TEACHING_SECONDS = 6 * 3600

SURE = 0.05
"""Below it p counts as clear."""

_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, asyncio.Semaphore]] = WeakKeyDictionary()
"""By how many run at once. A training on a CPU takes a core and one on GPUs all of them, whatever the service's
concurrency; a semaphore belongs to one event loop."""


class SpuriousRewards:
    """The suite. An item is a training of a model with a reward, a seed and a way of clipping."""

    id = "spurious-rewards"
    version = "1"
    title = "Is a gain from reinforcement learning what it seems? (Spurious Rewards)"
    description = (
        "GRPO on trl with rewards that are right (ground_truth), weak (majority, one_shot), wrong (incorrect) or that "
        "have nothing to do with the answer (random, format, python), alone, inverted or together, each with the same "
        "seeds and budget, on models of several families. Scores are of the same held-out problems before and after: "
        "accuracy, how often an answer is code, accuracy with and without code, and from which change of ways the gain "
        "comes. `limit` is the number of seeds."
    )
    options: type[BaseModel] = SpuriousOptions
    metrics: Mapping[str, Kind] = dict.fromkeys(
        (
            "accuracy",
            "gain",
            "code",
            "code_gain",
            "accuracy_with_code",
            "accuracy_without_code",
            *(f"{before}_to_{after}" for before, after in SWITCHES),
            "sampled",
            "sampled_gain",
            "clipped",
            "cut_off",
        ),
        "continuous",
    )
    contrasts: Sequence[tuple[str, str]] = ()
    local: Literal[True] = True
    compared: Sequence[str] = ("accuracy", "code")

    def plan(self, options: SpuriousOptions, limit: int, seed: int, home: Path) -> Plan:
        """Every reward and clipping of a seed before the next seed. Raises BadOption, MissingData."""
        if find_spec("trl") is None:
            raise BadOption("", "trl is not installed, with which this suite trains: install Candor's extra `train`.")
        for name in options.models:
            if name not in FAMILIES and not (home / MODELS / name / "config.json").is_file():
                known = ", ".join(FAMILIES)
                raise BadOption("models", f"There is no {home / MODELS / name}, and no small family {name!r}: {known}.")
        seeds = range(seed, seed + min(limit, options.seeds))
        cells = [_Cell(*one) for one in product(seeds, options.models, options.rewards, options.clippings)]
        # the same for all of them: of the settings only the sets and the budget decide the problems
        any_one = cells[0].training(options, home)
        content = hashed(problems(any_one, "train", home), problems(any_one, "test", home))
        items = [cell.item(options, home, content) for cell in cells]
        versions = {"budget": options.machine, "problems": f"sha256:{content}"} | _installed()
        warnings = ["With fewer than two models nothing is said of other families."] if len(options.models) < 2 else []
        warnings += self._few(len(seeds), {cell.model for cell in cells}, {item.setting for item in items})
        return Plan(items, versions | {"model": ", ".join(options.models)}, warnings)

    def _few(self, seeds: int, models: Collection[str], settings: Collection[str]) -> list[str]:
        """Where nothing can be found: n signs give no p below 2 / 2^n, and Holm's correction multiplies it."""
        comparisons = len(models) * len(self.contrasts_among(sorted(settings))) * len(self.compared)
        least = 2 / 2**seeds * max(1, comparisons)
        if least < SURE:
            return []
        needed = math.ceil(math.log2(2 * max(1, comparisons) / SURE))
        return [
            f"{seeds} seeds and {comparisons} comparisons: no p can be below {min(1.0, least):.2g} after correction, "
            f"and nothing can be clear. It takes {needed} seeds (limit and the option seeds), or fewer rewards."
        ]

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG002
        """The weights of the small families, which are taught first if they are not there. Raises EndpointError."""
        found = dict[str, str]()
        for name in versions["model"].split(", "):
            if name in FAMILIES:
                try:
                    said = await _program(["teach", name], f"teaching {name}", candor_home(), _TEACHING_SECONDS)
                except BadAnswer as error:
                    raise EndpointError(str(error)) from error
                found[f"weights of {name}"] = said.split('"weights": "')[1].split('"')[0]
        return found

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:  # noqa: ARG002 - nothing is asked
        """What became of a training, which goes on from its checkpoint if it was killed. Raises BadAnswer."""
        ask = planned.ask
        folder = Path(ask["folder"])
        try:
            outcome = await asyncio.to_thread(_outcome, folder)
            if outcome is None:
                settings = await asyncio.to_thread(_settings, folder, ask["training"])
                arguments = ["train", str(settings), "--out", str(folder)]
                async with _slot(ask["at_once"]):
                    await _program(arguments, planned.id, Path(ask["home"]), ask["seconds"])
                outcome = await asyncio.to_thread(_outcome, folder)
        except ValidationError as error:
            raise BadAnswer(f"the outcome of the training cannot be read: {error}") from error
        if outcome is None:
            raise BadAnswer("the training ended well and left no outcome")
        tokens = round(sum(line.get("completions/mean_length", 0.0) for line in outcome.log) * ask["responses"])
        details = outcome.model_dump(mode="json", exclude={"training"})
        return Answer(json.dumps(ask["training"]), str(outcome), tokens, outcome.seconds * 1000, details)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:  # noqa: ARG002 - of the protocol
        """Of the first and the last sheet of the test problems."""
        return scores(answer.details)

    def contrasts_among(self, settings: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Every reward against the random one that is clipped alike, and each way of clipping against the usual one."""
        pairs = []
        for name in settings:
            reward, _, clipping = name.partition(" (")
            other = f"random ({clipping}" if clipping else "random"
            if reward != "random" and other in settings:
                pairs.append((name, other))
            if clipping and reward in settings:
                pairs.append((name, reward))
        return pairs

    def figures(self, items: Iterable[Item]) -> list[Figure]:
        """Curves by rollout, and where the gain comes from."""
        return figures(items)

    def summary(self, items: Iterable[Item]) -> list[str]:
        """A paragraph a model."""
        return told(items)


def scores(details: Mapping[str, Any]) -> dict[str, float]:
    """Of an outcome. What has no value is left out: accuracy with code where no answer is code."""
    sheets = [Sheet.model_validate(one) for one in details["sheets"]]
    first, last = sheets[0], sheets[-1]
    clipped = [line["clip_ratio/region_mean"] for line in details["log"]]
    found: dict[str, float | None] = {
        "accuracy": last.accuracy,
        "gain": last.accuracy - first.accuracy,
        "code": last.code_frequency,
        "code_gain": last.code_frequency - first.code_frequency,
        "accuracy_with_code": last.accuracy_of("code"),
        "accuracy_without_code": last.accuracy_of("words"),
        **{f"{pair[0]}_to_{pair[1]}": one.contribution for pair, one in switches(first, last).items()},
        "sampled": last.sampled,
        "sampled_gain": None if last.sampled is None or first.sampled is None else last.sampled - first.sampled,
        "clipped": sum(clipped) / len(clipped) if clipped else None,
        "cut_off": last.truncated,
    }
    return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class _Cell:
    """One training of a run."""

    seed: int
    model: str
    reward: str
    clipping: Clipping

    def item(self, options: SpuriousOptions, home: Path, content: str) -> Planned:
        """As it is planned; `content` is the hash of the problems. Raises BadOption."""
        training = self.training(options, home).model_copy(update={"problems": content})
        budget, name = training.budget, setting(self.reward, self.clipping)
        responses = budget.prompts * budget.samples
        ask = {
            "training": training.model_dump(mode="json"),
            "folder": str(home / FOLDER / training.key(_written(home / MODELS / self.model), *_installed().values())),
            "home": str(home),
            "seconds": options.hours * 3600,
            "responses": responses,
            # on GPUs a training has all of them
            "at_once": (os.cpu_count() or 1) if budget.cpu else 1,
        }
        question = f"Train {self.model} for {budget.rollouts} rollouts of {responses} responses, seed {self.seed}"
        identity = f"{self.model}/{name}/{self.seed}"
        return Planned(identity, f"seed {self.seed}", self.model, name, question, [], self.seed, ask)

    def training(self, options: SpuriousOptions, home: Path) -> Training:
        """Its settings. Raises BadOption."""
        given = {
            "model": self.model if self.model in FAMILIES else str(home / MODELS / self.model),
            "reward": self.reward,
            "seed": self.seed,
            **CLIPPINGS[self.clipping],
            **options.model_dump(include={"probability", "train", "test", "prompt", "chat"}),
        }
        try:
            return Training.model_validate({**given, "budget": options.whole_budget()})
        except ValidationError as error:
            raise bad_budget(error) from error


def _written(folder: Path) -> str:
    """Of a model's folder, what changes when its weights, its tokenizer or its template do.

    The same for every small family, whose teaching is in the code.
    """
    files = sorted(one for one in folder.glob("*") if one.is_file())
    return sha256(repr([(one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in files]).encode()).hexdigest()


def _installed() -> dict[str, str]:
    """Versions of what trains."""
    return {name: version(name) for name in ("trl", "transformers", "torch")}


def _settings(folder: Path, training: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "settings.json"
    file.write_text(json.dumps(training), encoding="utf-8")
    return file


def _outcome(folder: Path) -> Outcome | None:
    """What a training that is done has left; None of one that is not."""
    file = folder / OUTCOME
    return Outcome.model_validate_json(file.read_text(encoding="utf-8")) if file.exists() else None


def _slot(at_once: int) -> asyncio.Semaphore:
    of_loop = _slots.setdefault(asyncio.get_running_loop(), {})
    return of_loop.setdefault(at_once, asyncio.Semaphore(at_once))


async def _program(arguments: Sequence[str], name: str, home: Path, seconds: float) -> str:
    """One thread: two on two busy cores can be ten times slower. Nothing is asked of a hub."""
    given = {"CANDOR_HOME": str(home), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, **given, "PYTHONPATH": path}
    return await run_program([*_PROGRAM, *arguments], name, folder=home, environment=environment, seconds=seconds)
