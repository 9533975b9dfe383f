"""The short answer inside a sample: found, normalised, and compared with another."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from gateway.pipeline.sentences import first_sentence

_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_CUE = re.compile(r"\b(?:final answer|answer)\b(?:\s+is)?\s*:?\s*(?:is\b)?[\s*\"']*", re.IGNORECASE)
_EXPLICIT = re.compile(r"\b(?:(?:final )?answer\s*:|(?:final )?answer is\b|final answer\b)", re.IGNORECASE)
_ARTICLES = frozenset({"a", "an", "the"})
_NEGATIONS = frozenset({"no", "not", "never", "none", "nor", "neither", "cannot", "false"})
_PUNCTUATION = re.compile(r"[^\w\s\0]|_")
_CLAUSE = re.compile(r"[,;:]\s|\s(?:which|who|because|as|since|while|known|located)\s")
# not a part of what only looks like one: versions and dates, such as 1.10.0, are words
_NUMBER = re.compile(r"(?<!\d)(?<!\d\.)\d+(?:,\d{3})*(?:\.\d+)?(?!\d|\.\d)")
_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WORDS = {word: Decimal(value) for value, word in enumerate(_UNITS)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}

LONG = 6
"""Words of its own from which an answer is more than a short one."""
SAME_F1 = 0.6
"""Token F1 from which two answers that do not contain each other count as one."""


def extract(text: str) -> str:
    """The short answer of a sample: the last box, else what follows the last cue, else the first sentence."""
    if boxes := _BOXED.findall(text):
        return str(boxes[-1]).strip()
    if cues := list(_EXPLICIT.finditer(text)):
        cue = _CUE.match(text, cues[-1].start())
        if after := first_sentence(text[cue.end() if cue else cues[-1].end() :]):
            return after
    return first_sentence(text)


def is_final(text: str) -> bool:
    """Whether a sample that was cut off has said its answer all the same."""
    if _BOXED.search(text):
        return True
    cues = list(_EXPLICIT.finditer(text))
    rest = text[cues[-1].end() :] if cues else text
    return first_sentence(rest) != rest.strip()


def normalise(text: str) -> list[str]:
    """Words in SQuAD's sense: lower case, no punctuation, no articles; numbers by their value."""
    text = _NUMBER.sub(lambda number: _plain(Decimal(number.group().replace(",", ""))), text.lower().replace("\0", " "))
    # a full stop between digits is a decimal point and stays
    text = re.sub(r"(?<=\d)\.(?=\d)", "\0", text).replace("n't", " not")
    words = _PUNCTUATION.sub(" ", text).replace("\0", ".").split()
    return _numbers_joined([word for word in words if word not in _ARTICLES])


@dataclass(frozen=True)
class ShortAnswer:
    """An answer as it is compared: its words less those of the question, its numbers and its negations."""

    words: tuple[str, ...]
    numbers: frozenset[str]
    negations: frozenset[str]

    @classmethod
    def of(cls, text: str, question: str) -> ShortAnswer:
        """The words of the answer; those that repeat the question count only if there are no others.

        Of a long answer its first clause that says anything: `Paris, known for its cathedral` answers `Paris`.
        """
        own = own_words(text, question) or normalise(text)
        if len(own) > LONG:
            own = next((clause for part in _CLAUSE.split(text) if (clause := own_words(part, question))), own)
        numbers = frozenset(word for word in own if _NUMBER.fullmatch(word))
        return cls(tuple(own), numbers, frozenset(own) & _NEGATIONS)

    def same_as(self, other: ShortAnswer) -> bool:
        """Whether the two say the same: equal numbers and negations, and one in the other or most words shared."""
        if not self.words or not other.words:
            return self.words == other.words
        if self.negations != other.negations or (self.numbers and other.numbers and self.numbers != other.numbers):
            return False
        return contains(self.words, other.words) or contains(other.words, self.words) or self._f1(other) >= SAME_F1

    def _f1(self, other: ShortAnswer) -> float:
        shared = sum((Counter(self.words) & Counter(other.words)).values())
        return 2 * shared / (len(self.words) + len(other.words))


def own_words(text: str, question: str) -> list[str]:
    """The words of a text that the question does not have."""
    asked = {*normalise(question), "is", "was", "are", "were"} - _NEGATIONS
    return [word for word in normalise(text) if word not in asked]


def contains(words: tuple[str, ...], part: tuple[str, ...]) -> bool:
    """Whether `part` stands in `words`, in order and without a gap."""
    return any(words[at : at + len(part)] == part for at in range(len(words) - len(part) + 1))


def _numbers_joined(words: list[str]) -> list[str]:
    """`five` as 5, and `2 million` as 2000000."""
    joined: list[str] = []
    for word in words:
        if word in _SCALES and joined and _NUMBER.fullmatch(joined[-1]):
            joined[-1] = _plain(Decimal(joined[-1]) * _SCALES[word])
        else:
            joined.append(_plain(_WORDS[word]) if word in _WORDS else word)
    return joined


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text.lstrip("0") or "0"
