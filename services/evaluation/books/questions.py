"""Cloze questions on a book, as the Children's Book Test has them (Hill et al. 2016): whose name is left out?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.evaluation.books.file import Character, Question
from services.evaluation.books.passages import spread
from services.evaluation.books.prose import sentences
from services.evaluation.metrics.answers import exact_match
from services.evaluation.metrics.cloze import named

CONTEXT_SENTENCES = 20
"""The Children's Book Test's."""

CONTEXT_WORDS = 600
"""Of long sentences only so many of the last are taken as have no more words than this together."""

LEAST_BEFORE = 4
"""Words of the sentence before the blank, from which a model that only goes on can tell that a name comes."""


def questions(paragraphs: Sequence[str], persons: Sequence[Character], most: int) -> list[Question]:
    """At most `most` questions spread over the book, in its order; no sentence of the book is in two of them.

    A question is 20 sentences of context (the last of them, if they have more than 600 words) and the next sentence,
    in which the name of one person is left out. That very name stands in the context, and another person's does too;
    in the sentence nothing else names the person. A name is left out only if `metrics.cloze.named` reads it in the
    book's own words, so that the book's answer is always right. A book of less than two persons has no question.
    """
    names = _Names.of(persons)
    found = [
        ("\n\n" if place == 0 else " ", sentence)
        for paragraph in paragraphs
        for place, sentence in enumerate(sentences(paragraph))
    ]
    made, free = list[Question](), 0
    for at, (gap, sentence) in enumerate(found):
        start = _start([text for _, text in found[max(at - CONTEXT_SENTENCES, 0) : at]], at)
        if at < CONTEXT_SENTENCES or not free <= start < at:
            continue
        context = "".join(before + text for before, text in found[start:at]).strip()
        if (name := _left_out(sentence, context, names)) is not None:
            before, rest = sentence[: name.start()], sentence[name.end() :]
            text = f"{context}{gap}{before}".rstrip()
            answers, commonest = names.answers(name[0]), names.commonest(context)
            made.append(Question(at=at, text=text, rest=rest, answers=answers, commonest=commonest))
            free = at + 1
    return spread(made, most)


@dataclass(frozen=True)
class _Names:
    """Every name of the persons, and how to find them; a longer one before one that it begins with."""

    whose: Mapping[str, Character]
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, persons: Sequence[Character]) -> _Names:
        whose = {alias: person for person in persons for alias in person.aliases}
        longest_first = "|".join(re.escape(alias) for alias in sorted(whose, key=len, reverse=True))
        # without a name the pattern must find nothing, not the empty text
        return cls(whose, re.compile(rf"(?<![^\W_])(?:{longest_first or '(?!)'})(?![^\W_])"))

    def answers(self, name: str) -> list[str]:
        """The name, and the others of its person."""
        return list(dict.fromkeys([name, *self.whose[name].aliases]))

    def commonest(self, text: str) -> str:
        """The first name of the person whom the text names most often; of several the one whom it names first."""
        named_in = Counter(self.whose[name[0]].aliases[0] for name in self.pattern.finditer(text))
        return named_in.most_common(1)[0][0]


def _start(before: Sequence[str], at: int) -> int:
    """The place of the first sentence of the context of the one at `at`; `before` are the sentences before it."""
    words = 0
    for taken, text in enumerate(reversed(before)):
        words += len(text.split())
        if words > CONTEXT_WORDS:
            return at - taken
    return at - len(before)


def _left_out(sentence: str, context: str, names: _Names) -> re.Match[str] | None:
    """The first name of the sentence that can be asked for."""
    there = {name[0] for name in names.pattern.finditer(context)}
    here = [*names.pattern.finditer(sentence)]
    for name in here:
        person = names.whose[name[0]]
        alone = sum(names.whose[one[0]] == person for one in here) == 1
        others = any(names.whose[one] != person for one in there)
        told = len(sentence[: name.start()].split()) >= LEAST_BEFORE
        read = exact_match(named(sentence[name.start() :]), person.aliases) == 1.0
        if name[0] in there and alone and others and told and read:
            return name
    return None
