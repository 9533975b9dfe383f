"""Arithmetic written out a step a line, each small enough to be known by heart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Worked:
    """A value and the steps that led to it."""

    value: int
    steps: tuple[str, ...] = ()

    def plus(self, number: int) -> Worked:
        """With a number added."""
        return self._by("+", number, self.value + number)

    def minus(self, number: int) -> Worked:
        """With a number taken away."""
        return self._by("-", number, self.value - number)

    def shared(self, number: int) -> Worked:
        """Divided by a number that divides it. Raises ValueError for another."""
        if self.value % number:
            raise ValueError(f"{self.value} is not divisible by {number}")
        return self._by("/", number, self.value // number)

    def times(self, number: int) -> Worked:
        """Times a number of one digit; tens and ones apart."""
        tens, ones = self.value // 10 * 10, self.value % 10
        if not tens or not ones:
            return self._by("*", number, self.value * number)
        parts = (f"{tens} * {number} = {tens * number}", f"{ones} * {number} = {ones * number}")
        return Worked(tens * number, self.steps + parts).plus(ones * number)

    def then(self, other: Worked) -> Worked:
        """This value, after the other one's steps have been done as well."""
        return Worked(self.value, self.steps + other.steps)

    def _by(self, sign: str, number: int, value: int) -> Worked:
        return Worked(value, (*self.steps, f"{self.value} {sign} {number} = {value}"))


def added(numbers: Sequence[int]) -> Worked:
    """The sum of numbers, one after the other."""
    worked = Worked(numbers[0])
    for number in numbers[1:]:
        worked = worked.plus(number)
    return worked


def multiplied(numbers: Sequence[int]) -> Worked:
    """The product of numbers, all but the first of one digit."""
    worked = Worked(numbers[0])
    for number in numbers[1:]:
        worked = worked.times(number)
    return worked
