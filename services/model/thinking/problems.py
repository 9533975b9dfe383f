"""Arithmetic that a small model can do in steps and hardly at once, made from a seed, with every step written out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from services.model.thinking.steps import Worked, added, multiplied
from services.model.thinking.stories import STORIES

Split = Literal["train", "heldout"]

_HELD_OUT = 26
"""Of 256: a problem belongs to a split by the hash of its numbers, so no seed makes one of the other split."""


@dataclass(frozen=True)
class Problem:
    """A question, its worked steps in order, and its answer, which the last step ends with."""

    kind: str
    question: str
    steps: tuple[str, ...]
    answer: int


def problems(seed: str, split: Split) -> Iterator[Problem]:
    """Problems of a split without an end, of all kinds alike, none twice; the same ones for the same seed."""
    rng, seen = Random(seed), set[str]()
    while True:
        kind = rng.choice(tuple(KINDS))
        question, worked, key = KINDS[kind](rng)
        if key not in seen and _split(key) == split:
            seen.add(key)
            yield Problem(kind, question, tuple(worked.steps), worked.value)


def _sum(rng: Random) -> tuple[str, Worked, str]:
    numbers = [rng.randint(2, 99) for _ in range(rng.randint(3, 6))]
    terms = " + ".join(map(str, numbers))
    listed = ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
    question = rng.choice([f"What is {terms}?", f"Add {listed}.", f"What is the sum of {listed}?", f"Compute {terms}."])
    return question, added(numbers), "sum " + " ".join(map(str, sorted(numbers)))


def _product(rng: Random) -> tuple[str, Worked, str]:
    numbers = [rng.randint(12, 99), rng.randint(3, 9)]
    if rng.random() < 0.5:
        numbers = [rng.randint(2, 9), rng.randint(3, 9), rng.randint(3, 9)]
    factors = " * ".join(map(str, numbers))
    by = " times ".join(map(str, numbers))
    question = rng.choice([f"What is {factors}?", f"What is {by}?", f"Compute {factors}."])
    return question, multiplied(numbers), "product " + " ".join(map(str, sorted(numbers)))


def _mixed(rng: Random) -> tuple[str, Worked, str]:
    (a, b), (c, d) = ([rng.randint(3, 9), rng.randint(3, 9)] for _ in range(2))
    first, second = multiplied([a, b]), multiplied([c, d])
    worked = first.then(second).plus(second.value)
    last = rng.randint(2, 40)
    sign = "-" if last <= worked.value and rng.random() < 0.5 else "+"
    worked = worked.minus(last) if sign == "-" else worked.plus(last)
    term = f"{a} * {b} + {c} * {d} {sign} {last}"
    return rng.choice([f"What is {term}?", f"Compute {term}."]), worked, f"mixed {term}"


def _story(rng: Random) -> tuple[str, Worked, str]:
    number = rng.randrange(len(STORIES))
    story = STORIES[number](rng)
    return story.question, story.worked, f"story {number} {' '.join(map(str, story.numbers))}"


KINDS: dict[str, Callable[[Random], tuple[str, Worked, str]]] = {
    "sum": _sum,
    "product": _product,
    "mixed": _mixed,
    "story": _story,
}
"""Each makes a question, its working, and a key of what is asked, however it is worded."""


def _split(key: str) -> Split:
    return "heldout" if hashlib.sha256(key.encode()).digest()[0] < _HELD_OUT else "train"
