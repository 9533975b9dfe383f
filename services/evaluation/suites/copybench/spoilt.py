"""Prose made worse in known ways, the same at every time."""

from __future__ import annotations

from services.evaluation.suites.drawing import drawn


def shuffled(text: str) -> str:
    """The words in another order."""
    return " ".join(word for _, word in drawn(enumerate(text.split()), 0, str))


def repeated(text: str, words: int) -> str:
    """The first words over and over, to the same length: what a model of language falls into."""
    found = text.split()
    return " ".join(found[place % words] for place in range(len(found)))


def thinned(text: str, every: int) -> str:
    """Each so many-th word left out."""
    return " ".join(word for place, word in enumerate(text.split(), start=1) if place % every)


def doubled(text: str, every: int) -> str:
    """Each so many-th word twice."""
    return " ".join(" ".join([word] * (1 if place % every else 2)) for place, word in enumerate(text.split(), start=1))


def replaced(text: str, every: int) -> str:
    """Each so many-th word one that is drawn from the text's."""
    found = text.split()
    others = iter(word for _, word in drawn(enumerate(found), 1, str))
    return " ".join(word if place % every else next(others) for place, word in enumerate(found, start=1))
