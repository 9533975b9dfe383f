"""Cutting a document into passages."""

from __future__ import annotations

import re
from dataclasses import dataclass

WORDS = 256

_word = re.compile(r"\S+")


@dataclass(frozen=True)
class Chunk:
    """A stretch of a document, in code points: `text[start:end]`."""

    start: int
    end: int


def cut(text: str, words: int = WORDS) -> list[Chunk]:
    """Passages of `words` words between white space; the last one holds what is left, however little.

    Each word is in exactly one passage, and white space between passages in none. That is CompactDS's published
    rule (Lyu et al. 2025): it heeds no sentence, so that a passage's size is known and its recall comparable.
    """
    spans = [match.span() for match in _word.finditer(text)]
    groups = (spans[first : first + words] for first in range(0, len(spans), words))
    return [Chunk(group[0][0], group[-1][1]) for group in groups]
