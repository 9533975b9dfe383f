"""Where sentences end: not after initials, titles and the like."""

from __future__ import annotations

import re

_END = re.compile(r"(?<=[.!?])[\"')\]]*(?:\s+|$)|\n+")
_ABBREVIATION = re.compile(
    r"\b(?:[A-Za-z]|Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|No|Mt|Prof|Gen|Rev|Inc|Ltd|Co|cf|al|approx|etc|ca)\.$"
)


def first_sentence(text: str) -> str:
    """The text up to the end of its first sentence or line."""
    text = text.strip()
    for end in _END.finditer(text):
        if "\n" not in end.group() and is_abbreviated(text[: end.start()]):
            continue
        return text[: end.end()].strip()
    return text


def is_abbreviated(text: str) -> bool:
    """Whether the full stop at the end of a text is that of an abbreviation or an initial."""
    return _ABBREVIATION.search(text) is not None
