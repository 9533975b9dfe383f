r"""Sums of two numbers, and the two ways in which a small model is taught to answer them.

In words: ``The answer is \boxed{85}.``; with code: a block marked ``python`` that adds digit by digit, then the box.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Literal

Split = Literal["train", "test"]
Code = Literal["right", "wrong", "none"]
"""What a family's code is worth: it carries, it forgets to carry, or there is none."""

_TESTED = 32
"""Of 256: a sum belongs to a split by the hash of its numbers, so that no seed makes one of the other split."""


@dataclass(frozen=True)
class Sum:
    """Two numbers of two digits."""

    one: int
    other: int

    @property
    def question(self) -> str:
        """As it is asked."""
        return f"{self.one}+{self.other}="

    @property
    def answer(self) -> int:
        """Their sum."""
        return self.one + self.other


def sums(split: Split, count: int, seed: int) -> list[Sum]:
    """Different sums of a split, the same ones for the same seed; a smaller count gives the first of a larger one's.

    All of the split if it has fewer.
    """
    found, wanted = dict[Sum, None](), min(count, _size(split))
    every = drawn(split, Random(f"sums {seed}"))
    while len(found) < wanted:
        found[next(every)] = None
    return list(found)


def drawn(split: Split, rng: Random) -> Iterator[Sum]:
    """Sums of a split without an end, also the same one again."""
    while True:
        found = Sum(rng.randint(10, 99), rng.randint(10, 99))
        if _split(found) == split:
            yield found


def in_words(asked: Sum) -> str:
    """The answer at once."""
    return rf"The answer is \boxed{{{asked.answer}}}."


def with_code(asked: Sum, code: Code) -> str:
    """Ones, tens, and the box; code that is wrong forgets to carry."""
    ones = asked.one % 10 + asked.other % 10
    carried = ones // 10 if code == "right" else 0
    tens = carried + asked.one // 10 + asked.other // 10
    work = f"{asked.one % 10}+{asked.other % 10}={ones}\n{carried}+{asked.one // 10}+{asked.other // 10}={tens}\n"
    return f"```python\n{work}```\n\\boxed{{{tens * 10 + ones % 10}}}"


@cache
def _size(split: Split) -> int:
    numbers = range(10, 100)
    return sum(_split(Sum(one, other)) == split for one in numbers for other in numbers)


def _split(asked: Sum) -> Split:
    digest = hashlib.sha256(f"{min(asked.one, asked.other)}+{max(asked.one, asked.other)}".encode()).digest()
    return "test" if digest[0] < _TESTED else "train"
