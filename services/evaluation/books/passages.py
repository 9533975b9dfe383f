"""Passages of a book and how they go on, and sentences to begin a story with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from services.evaluation.books.file import Passage
from services.evaluation.books.prose import sentences, words

PREFIX_WORDS, REFERENCE_WORDS = 162, 49
"""CopyBench's: a prefix of about 162 words, and the next 49."""

_OPENING_WORDS = range(10, 41)

T = TypeVar("T")


def passages(paragraphs: Sequence[str], most: int) -> list[Passage]:
    """At most `most` passages spread evenly over the book, none of which overlaps another.

    Each begins with a sentence. It is taken across paragraphs, which are joined by an empty line.
    """
    text = "\n\n".join(paragraphs)
    found = [(word.start(), word.end()) for word in words(text)]
    beginnings = _beginnings(paragraphs)
    cut: list[Passage] = []
    free, length = 0, PREFIX_WORDS + REFERENCE_WORDS
    for at in beginnings:
        if at < free or at + length > len(found):
            continue
        middle, end = at + PREFIX_WORDS, at + length
        prefix = text[found[at][0] : found[middle - 1][1]]
        cut.append(Passage(at=at, prefix=prefix, reference=text[found[middle][0] : found[end - 1][1]]))
        free = end
    return spread(cut, most)


def openings(paragraphs: Sequence[str], most: int) -> list[str]:
    """At most `most` first sentences of paragraphs, of 10 to 40 words and without speech, spread over the book.

    The first is the book's own opening, or the next sentence after it that will do.
    """
    firsts = (sentences(paragraph)[0] for paragraph in paragraphs)
    plain = [one for one in firsts if len(one.split()) in _OPENING_WORDS and one[0].isalpha() and one[-1] == "."]
    return spread(list(dict.fromkeys(plain)), most)


def spread(found: Sequence[T], most: int) -> list[T]:
    """So many of them at equal distances, the first always among them; all if there are no more."""
    if len(found) <= most:
        return list(found)
    return [found[place * len(found) // most] for place in range(most)]


def _beginnings(paragraphs: Sequence[str]) -> list[int]:
    """The place of each sentence's first word among the book's words."""
    found, at = list[int](), 0
    for paragraph in paragraphs:
        for sentence in sentences(paragraph):
            found.append(at)
            at += len(sentence.split())
    return found
