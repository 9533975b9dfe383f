r"""Rewards of 0 or 1 for a response, true and spurious, and sentences over them: ``ground_truth and not python``.

| | rewarded is |
| --- | --- |
| ground_truth | the right final answer: the last box, else "answer is", else the last number; equal as mathematics |
| majority | the answer that most of the untrained model's own samples gave |
| incorrect | the same where it is wrong; only such problems are trained on |
| format | a box that is not empty, whatever is in it |
| python | the word, anywhere |
| random | a coin |
| one_shot | ground_truth; one problem is all of the training |

Source: Spurious Rewards (Shao et al. 2025).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from services.evaluation.grpo.equal import right
from services.evaluation.metrics.maths import last_box


@dataclass(frozen=True)
class Case:
    """A response and what it may be held against. `label` is the majority's answer, None where there is none."""

    response: str
    gold: str
    label: str | None = None


class BadReward(ValueError):
    """A sentence that names no reward."""


@dataclass(frozen=True)
class Reward:
    """`terms` must all hold, each as it is or, where the second is False, the contrary."""

    terms: tuple[tuple[str, bool], ...]

    def __str__(self) -> str:
        return " and ".join(name if holds else f"not {name}" for name, holds in self.terms)

    @property
    def names(self) -> frozenset[str]:
        """The rewards that are in it."""
        return frozenset(name for name, _ in self.terms)

    @property
    def labelled(self) -> bool:
        """Whether the majority of the untrained model's samples has to be known."""
        return not self.names.isdisjoint({"majority", "incorrect"})

    def of(self, cases: Sequence[Case], coins: Iterator[bool]) -> list[float]:
        """The rewards of responses. Each reads a coin of its own if the sentence has `random` in it."""
        return [float(self._holds(case, coins)) for case in cases]

    def _holds(self, case: Case, coins: Iterator[bool]) -> bool:
        # a list, not a generator: a response reads its coin even where another term has decided, so that the coins of
        # the others do not depend on it
        found = [(next(coins) if name == "random" else SINGLE[name](case)) is holds for name, holds in self.terms]
        return all(found)


def reward(sentence: str) -> Reward:
    """The reward that a sentence says. Raises BadReward."""
    terms = []
    for part in re.split(r"\s+and\s+", sentence.strip()):
        found = re.fullmatch(r"(not\s+)?([a-z_]+)", part.strip())
        if found is None or found[2] not in NAMES:
            raise BadReward(
                f"There is no reward {part!r}. Known: {', '.join(NAMES)}, each with `not` before it, joined by `and`."
            )
        terms.append((found[2], found[1] is None))
    if len({name for name, _ in terms}) < len(terms):
        raise BadReward(f"{sentence!r} names a reward twice.")
    if {"incorrect", "one_shot"} <= {name for name, _ in terms}:
        raise BadReward("`incorrect` and `one_shot` each say which problems are trained on: only one of them can.")
    return Reward(tuple(terms))


def coins(probability: float, *key: int) -> Iterator[bool]:
    """Coins without an end, decided by the key (seed, step) alone: a resumed training throws the same."""
    random = np.random.default_rng(key)
    while True:
        yield bool(random.random() < probability)


def boxed(response: str) -> bool:
    """Whether there is a box with something in it; the last that closes is looked at."""
    return bool((last_box(response) or "").strip())


def coded(response: str) -> bool:
    """Whether the response is code, by the paper's measure: it has the word."""
    return "python" in response


def _as_labelled(case: Case) -> bool:
    return case.label is not None and right(case.response, case.label)


SINGLE: dict[str, Callable[[Case], bool]] = {
    "ground_truth": lambda case: right(case.response, case.gold),
    "majority": _as_labelled,
    "incorrect": _as_labelled,
    "format": lambda case: boxed(case.response),
    "python": lambda case: coded(case.response),
    "one_shot": lambda case: right(case.response, case.gold),
}
NAMES = (*SINGLE, "random")
