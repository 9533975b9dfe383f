"""Published rules that tell prose from what web pages hold beside it. Each says which paper it is from.

Gopher: Rae et al. 2021, section A.1.1. C4: Raffel et al. 2020, section 2.2. Left out of Gopher: at least two English
stop words, since an owner's text may be in any language. Left out of C4: removing single lines (a document keeps the
text that its offsets are of), and pages with a curly bracket or a bad word, which a datastore may well be about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from services.retrieval.datastore.ingest.repetition import repetition

_BULLETS = ("•", "●", "○", "■", "□", "▪", "‣", "-", "*")
_ELLIPSES = ("...", "…")
_sentence_end = re.compile(r"[.!?。！？؟।](?=[\s\"'”’)\]]|$)")  # noqa: RUF001 (other scripts' own marks)


class Page:
    """A text with the parts that rules look at: words between white space, and lines that are not blank."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = text.split()
        self.lines = [line.strip() for line in text.splitlines() if line.strip()]

    @cached_property
    def sentences(self) -> int:
        """How many marks end a sentence."""
        return len(_sentence_end.findall(self.text))


@dataclass(frozen=True)
class Rule:
    """`breaks(page)`: whether a page with at least one word is left out by this rule."""

    name: str
    breaks: Callable[[Page], bool]


RULES: Sequence[Rule] = (
    Rule("fewer than 50 words (Gopher)", lambda page: len(page.words) < 50),
    Rule("more than 100,000 words (Gopher)", lambda page: len(page.words) > 100_000),
    Rule("mean word under 3 or over 10 letters (Gopher)", lambda page: not 3 <= _mean_length(page.words) <= 10),
    Rule("over 0.1 hash signs a word (Gopher)", lambda page: page.text.count("#") > 0.1 * len(page.words)),
    Rule("over 0.1 ellipses a word (Gopher)", lambda page: _ellipses(page.text) > 0.1 * len(page.words)),
    Rule("over 90% of lines bulleted (Gopher)", lambda page: _share(page.lines, _is_bulleted) > 0.9),
    Rule("over 30% of lines end in an ellipsis (Gopher)", lambda page: _share(page.lines, _trails_off) > 0.3),
    Rule("under 80% of words have a letter (Gopher)", lambda page: _share(page.words, _has_letter) < 0.8),
    Rule("fewer than 5 sentences (C4)", lambda page: page.sentences < 5),
    Rule("placeholder text (C4)", lambda page: "lorem ipsum" in page.text.casefold()),
    Rule("repeats itself (Gopher, table A1)", lambda page: repetition(page.text)),
)


def fault(text: str) -> str | None:
    """The name of the first rule that leaves a text out, or None."""
    page = Page(text)
    return next((rule.name for rule in RULES if rule.breaks(page)), None)


def _mean_length(words: Sequence[str]) -> float:
    return sum(map(len, words)) / len(words)


def _ellipses(text: str) -> int:
    return sum(text.count(ellipsis) for ellipsis in _ELLIPSES)


def _share(parts: Sequence[str], holds: Callable[[str], bool]) -> float:
    return sum(map(holds, parts)) / len(parts)


def _is_bulleted(line: str) -> bool:
    return line.startswith(_BULLETS)


def _trails_off(line: str) -> bool:
    return line.endswith(_ELLIPSES)


def _has_letter(word: str) -> bool:
    return any(map(str.isalpha, word))
