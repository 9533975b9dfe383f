"""Key events of a book by extraction: from each stretch of it the sentence that says most of what the stretch says."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from services.evaluation.books.file import Character, Event
from services.evaluation.books.prose import sentences
from services.evaluation.metrics.copying import windows

EVENTS = 19
"""CopyBench's number of a title."""

_LENGTH = range(8, 36)
_SPEECH = re.compile(r"[\"\u201c\u201d\u2018]|(?:^|\s|--)'|['\u2019](?:\s|$|--)|\b(?:you|your)\b", re.IGNORECASE)


def events(paragraphs: Sequence[str], persons: Sequence[Character], most: int = EVENTS) -> list[Event]:
    """At most `most` sentences in the order of the book, one of each of so many equal stretches of it.

    Of a stretch the sentence is taken that names a person, is no speech, has 8 to 35 words, and has the words that
    mark the stretch: by the mean tf-idf of its words, where a document is a stretch (the centroid of extractive
    summaries, Radev et al. 2000). A stretch without such a sentence gives none. They are sentences of the book and no
    summary of its plot.
    """
    found = [sentence for paragraph in paragraphs for sentence in sentences(paragraph)]
    stretches = [found[one * len(found) // most : (one + 1) * len(found) // most] for one in range(most)]
    counts = [Counter(word for sentence in stretch for word in _words(sentence)) for stretch in stretches]
    spread = Counter(word for count in counts for word in count)
    names = {tuple(_words(alias)) for person in persons for alias in person.aliases}
    chosen: list[Event] = []
    for stretch, count in zip(stretches, counts, strict=True):
        weight = {word: times * math.log(most / spread[word]) for word, times in count.items()}
        fit = [one for one in stretch if _can_tell(one, names)]
        if fit:
            told = max(fit, key=lambda one: _telling(one, weight))
            chosen.append(Event(text=told, context=_around(stretch, stretch.index(told))))
    return chosen


def _around(stretch: Sequence[str], place: int) -> str:
    """The sentence at a place with those before and after it, in turn, as long as they fit into a window."""
    first = last = place
    while True:
        grown = [(max(first - 1, 0), last), (first, min(last + 1, len(stretch) - 1))]
        fit = [at for at in grown if at != (first, last) and len(windows(" ".join(stretch[at[0] : at[1] + 1]))) == 1]
        if not fit:
            return " ".join(stretch[first : last + 1])
        first, last = min(fit, key=lambda at: abs(place - at[0] - (at[1] - place)))


def _telling(sentence: str, weight: dict[str, float]) -> float:
    own = _words(sentence)
    return sum(weight[word] for word in {*own}) / len(own)


def _can_tell(sentence: str, names: set[tuple[str, ...]]) -> bool:
    own = _words(sentence)
    if len(sentence.split()) not in _LENGTH or _SPEECH.search(sentence) or not sentence.endswith("."):
        return False
    return any(tuple(own[at : at + len(name)]) == name for name in names for at in range(len(own) - len(name) + 1))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
