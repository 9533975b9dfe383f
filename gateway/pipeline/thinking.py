"""NoThinking (Ma et al. 2025): the thinking block is prefilled and already closed, where the model family has one."""

from __future__ import annotations

import re
from dataclasses import dataclass

FINISHED = "I have finished thinking this through."


@dataclass(frozen=True)
class ThinkingTags:
    """How a model family marks its thinking at the beginning of its turn."""

    opening: str
    closing: str

    def closed(self) -> str:
        """A thinking block that is over; the solution follows it."""
        return f"{self.opening}{FINISHED}{self.closing}"


_TAGS = ThinkingTags("<think>\n", "\n</think>\n\n")

FAMILIES = (
    (re.compile(r"deepseek[-_ ]?r1|r1[-_ ]distill", re.IGNORECASE), _TAGS),
    (re.compile(r"\bqwen[-_ ]?3", re.IGNORECASE), _TAGS),
    (re.compile(r"olmo[-_ ]?\d*.*think", re.IGNORECASE), _TAGS),
)
"""Families by what their name or architecture says; distilled models go by their name, not their architecture."""


def thinking_tags(name: str, architecture: str) -> ThinkingTags | None:
    """The tags of the family a model is of; None if it does not think, and is asked directly."""
    for pattern, tags in FAMILIES:
        if pattern.search(name) or pattern.search(architecture):
            return tags
    return None
