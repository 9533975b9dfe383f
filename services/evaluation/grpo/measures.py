"""What a training did: accuracy, code, and from which change of ways the gain comes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from pydantic import BaseModel

WAYS = ("code", "words")
SWITCHES = tuple(product(WAYS, WAYS))
"""(before, after): Code->Code, Code->Lang, Lang->Code, Lang->Lang in the paper's names."""


class Sheet(BaseModel):
    """The same problems answered once each. A character a problem, in their order: 1 for yes, 0 for no.

    `sampled` is the mean accuracy of several samples a problem at a temperature (avg@k), None if none were drawn.
    """

    step: int
    right: str
    code: str
    cut: str
    sampled: float | None = None

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return _share(self.right)

    @property
    def code_frequency(self) -> float:
        """The share of answers that are code."""
        return _share(self.code)

    @property
    def truncated(self) -> float:
        """The share of answers that the budget of tokens cut off."""
        return _share(self.cut)

    def accuracy_of(self, way: str) -> float | None:
        """The share of right ones among the answers of a way; None without any."""
        of = "".join(one for one, code in zip(self.right, self.code, strict=True) if _way(code) == way)
        return _share(of) if of else None


@dataclass(frozen=True)
class Switch:
    """The problems that were answered in one way and are now in another (or in the same).

    `share` of all problems; `contribution` to the gain in accuracy, (newly right - newly wrong) / all problems: the
    four contributions sum to the gain.
    """

    share: float
    contribution: float


def switches(before: Sheet, after: Sheet) -> dict[tuple[str, str], Switch]:
    """By (before, after). Raises ValueError for sheets of different problems."""
    if len(before.right) != len(after.right) or not before.right:
        raise ValueError(f"{len(before.right)} and {len(after.right)} answers are not to the same problems")
    count, found = len(before.right), {}
    for pair in SWITCHES:
        of = [
            at
            for at, codes in enumerate(zip(before.code, after.code, strict=True))
            if (_way(codes[0]), _way(codes[1])) == pair
        ]
        gained = sum(int(after.right[at]) - int(before.right[at]) for at in of)
        found[pair] = Switch(len(of) / count, gained / count)
    return found


def _way(code: str) -> str:
    return WAYS[0] if code == "1" else WAYS[1]


def _share(flags: str) -> float:
    return flags.count("1") / len(flags)
