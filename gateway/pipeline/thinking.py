"""How model families mark their thinking, and the parting of a text into thinking and answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

FINISHED = "I have finished thinking this through."


class ThinkingTags(BaseModel):
    """How a model family marks its thinking at the beginning of its turn; the whitespace is the family's, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opening: str
    closing: str

    @field_validator("opening", "closing")
    @classmethod
    def _says_something(cls, tag: str) -> str:
        if not tag.strip():
            raise ValueError("a tag is more than whitespace")
        return tag

    def closed(self) -> str:
        """NoThinking (Ma et al. 2025): a thinking block that is over; the solution follows it."""
        return f"{self.opening}{FINISHED}{self.closing}"

    @property
    def control(self) -> list[str]:
        """The tags alone: for many models they are tokens of their own."""
        return [self.opening.strip(), self.closing.strip()]

    def opened_by(self, template: str) -> bool:
        """Whether a chat template opens the thinking by itself, at the end, where an answer is to begin."""
        end = template.rpartition("add_generation_prompt")[2]
        opening, closing = self.control
        # where both stand, it is the thinking block of a switch that turns thinking off
        return opening in end and closing not in end


class ThinkingFamily(ThinkingTags):
    """The tags of the models whose name matches `name`, a regular expression looked for in any letter case."""

    name: str

    @field_validator("name")
    @classmethod
    def _compiles(cls, name: str) -> str:
        try:
            re.compile(name)
        except re.error as error:
            raise ValueError(f"{name!r} is no regular expression: {error}") from error
        return name


_OPENING, _CLOSING = "<think>\n", "\n</think>\n\n"

FAMILIES = (
    ThinkingFamily(name=r"deepseek[-_ ]?r1|r1[-_ ]distill", opening=_OPENING, closing=_CLOSING),
    ThinkingFamily(name=r"\bqwen[-_ ]?3|\bqwq", opening=_OPENING, closing=_CLOSING),
    ThinkingFamily(name=r"olmo[-_ ]?\d*.*think", opening=_OPENING, closing=_CLOSING),
    ThinkingFamily(name=r"^candor.*think", opening=_OPENING, closing=_CLOSING),
    ThinkingFamily(name=r"phi[-_ ]?4.*reasoning", opening=_OPENING, closing=_CLOSING),
    ThinkingFamily(name=r"magistral", opening="[THINK]", closing="[/THINK]"),
)
"""Families by what their name or architecture says; distilled models go by their name, not their architecture."""

_NOT = re.compile(r"instruct|coder", re.IGNORECASE)
"""Members of thinking families that do not think (Qwen3-4B-Instruct-2507, Qwen3-Coder) say so in their name."""


def thinking_tags(
    name: str, architecture: str, template: str = "", added: Sequence[ThinkingFamily] = ()
) -> ThinkingTags | None:
    """The tags of the family a model is of; None if it does not think, and is asked directly.

    `added` families come first. A model of no known family has the tags that its chat template writes, if it writes
    any; one of a known family that says that it does not think has none.
    """
    for family in added:
        if re.search(family.name, name, re.IGNORECASE):
            return _tags(family)
    for said in (name, architecture):
        for family in FAMILIES:
            if re.search(family.name, said, re.IGNORECASE):
                return None if _NOT.search(name) else _tags(family)
    for family in FAMILIES:
        if all(tag in template for tag in family.control):
            return _tags(family)
    return None


class Splitter:
    """Text as it comes, parted into the thinking and the answer.

    `thinking`: whether the text begins within the thinking; otherwise it begins there if it opens with the tag.
    What may yet turn out to be a tag, or whitespace at the end of the thinking, is held back.
    """

    def __init__(self, tags: ThinkingTags | None, *, thinking: bool) -> None:
        self._opening, self._closing = tags.control if tags else ("", "")
        self._place: Literal["start", "thinking", "answer"] = "start" if tags else "answer"
        if tags and thinking:
            self._place = "thinking"
        self._held, self._said = "", False

    @property
    def thinking(self) -> bool:
        """Whether the thinking has begun and not ended."""
        return self._place == "thinking"

    def take(self, text: str) -> tuple[str, str]:
        """What can be said now: of the thinking, and of the answer."""
        self._held += text
        if self._place == "start":
            self._begin()
        reasoning = self._reason() if self._place == "thinking" else ""
        if self._place != "answer":
            return reasoning, ""
        answer, self._held = self._held, ""
        return reasoning, answer

    def end(self) -> tuple[str, str]:
        """The rest, once no more text comes."""
        rest, self._held = self._held, ""
        return (rest.rstrip(), "") if self.thinking else ("", rest)

    def _begin(self) -> None:
        begun = self._held.lstrip()
        if begun.startswith(self._opening):
            self._held, self._place = begun[len(self._opening) :], "thinking"
        elif not self._opening.startswith(begun):
            self._place = "answer"

    def _reason(self) -> str:
        if not self._said:
            self._held = self._held.lstrip()
        at = self._held.find(self._closing)
        if at >= 0:
            reasoning, self._place = self._held[:at].rstrip(), "answer"
            self._held = self._held[at + len(self._closing) :]
        else:
            reasoning = self._held[: len(self._held) - _tail(self._held, self._closing)].rstrip()
            self._held = self._held[len(reasoning) :]
        self._said = self._said or bool(reasoning)
        return reasoning


def _tags(family: ThinkingFamily) -> ThinkingTags:
    return ThinkingTags(opening=family.opening, closing=family.closing)


def _tail(text: str, tag: str) -> int:
    """How many characters at the end of a text may be the beginning of a tag."""
    return next((length for length in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:length])), 0)
