"""The problems of a training: which are trained on, in which order, and which are asked to see what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from pydantic import BaseModel

from services.evaluation.errors import BadOption
from services.evaluation.grpo.equal import equal
from services.evaluation.grpo.rewards import Reward
from services.evaluation.grpo.settings import SUMS, Training
from services.evaluation.grpo.sums import Split, sums
from services.evaluation.suites.sets.problem import LETTERS
from services.evaluation.suites.sets.problem import Problem as Asked
from services.evaluation.suites.sets.reading import choose, digest


class Problem(BaseModel):
    """A question with its one gold answer."""

    id: str
    question: str
    gold: str


class NothingToTrain(Exception):
    """A reward leaves no problem to train on; the message says why."""


def problems(training: Training, split: Split, home: Path) -> list[Problem]:
    """The problems of a split. They are the same for every seed, so that trainings differ in nothing else.

    Raises BadOption or MissingData for a set that cannot be read or has a question with several right answers.
    """
    budget = training.budget
    name, count = (training.train, budget.train_problems) if split == "train" else (training.test, budget.test_problems)
    if name == SUMS:
        return [Problem(id=one.question, question=one.question, gold=str(one.answer)) for one in sums(split, count, 0)]
    found = choose(home, name, count, 0, option=split)
    return [Problem(id=one.id, question=one.lettered(), gold=_gold(one, split)) for one in found]


def hashed(train: Sequence[Problem], test: Sequence[Problem]) -> str:
    """SHA-256 of the problems of both splits, as they stand in `Training.problems`."""
    return f"{digest(train)}-{digest(test)}"


def apart(train: Sequence[Problem], test: Sequence[Problem]) -> list[Problem]:
    """The training problems that are not asked in the test. Raises NothingToTrain if there are none."""
    asked = {one.question.strip() for one in test}
    if left := [one for one in train if one.question.strip() not in asked]:
        return left
    raise NothingToTrain("Every problem of the training is one of the test: what was learnt could not be told.")


def chosen(train: Sequence[Problem], reward: Reward, labels: Mapping[str, str | None], seed: int) -> list[Problem]:
    """The problems that a reward is trained on. Raises NothingToTrain."""
    if "one_shot" in reward.names:
        return [Random(f"one shot {seed}").choice(train)]
    if "incorrect" in reward.names:
        wrong = [one for one in train if (label := labels[one.id]) is not None and not equal(label, one.gold)]
        if not wrong:
            raise NothingToTrain("The majority is right on every problem: there is no incorrect label to reward.")
        return wrong
    return list(train)


def ordered(problems: Sequence[Problem], count: int, seed: int) -> list[Problem]:
    """`count` problems: all of them in an order of the seed's, then all again in another, until there are enough."""
    rng, found = Random(f"order {seed}"), list[Problem]()
    while len(found) < count:
        found += rng.sample(problems, len(problems))
    return found[:count]


def _gold(asked: Asked, split: Split) -> str:
    """The letter where the question has choices: that is what it asks for. Raises BadOption."""
    if asked.gold is not None:
        return LETTERS[asked.gold]
    if len(asked.answers) > 1:
        raise BadOption(split, f"{asked.id!r} has {len(asked.answers)} right answers; a reward is for one. Keep one.")
    return asked.answers[0]
