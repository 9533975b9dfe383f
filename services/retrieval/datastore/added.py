"""Segments of documents that were added through the API: how they are named, and which of them count."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_NAME = re.compile(r"added-(\d{8})-(\d{8})\.(\d+)")


@dataclass(frozen=True, order=True)
class Span:
    """The additions that a segment holds, by their numbers among the changes of an owner: from `first` to `last`.

    A merged segment has those of the segments it was made of. `version` counts how often it was written anew.
    """

    first: int
    last: int
    version: int = 0

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """The span of a segment of this name; None if it is not one of an addition."""
        found = _NAME.fullmatch(name)
        return cls(*map(int, found.groups())) if found else None

    @property
    def name(self) -> str:
        """Of the segment and its folder."""
        return f"added-{self.first:08}-{self.last:08}.{self.version}"

    def replaces(self, other: Span) -> bool:
        """Whether the other's documents were carried over into this one."""
        return self.first <= other.first and other.last <= self.last and self != other and self.version >= other.version


def current(spans: Iterable[Span]) -> list[Span]:
    """Those that no other one replaces, the oldest first. The rest is what a writer that was killed had not removed."""
    every = list(spans)
    return sorted(span for span in every if not any(other.replaces(span) for other in every))
