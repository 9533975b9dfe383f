"""How fluent a text is, from 1 to 5 by a rubric; and whether the judge of it can tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Protocol

from services.evaluation.metrics.copying import windows
from services.evaluation.suites.copybench.likelihood import Likelihood
from services.evaluation.suites.copybench.spoilt import doubled, repeated, replaced, shuffled, thinned

PAIRS, FEWEST_PAIRS = 10, 8
"""Passages of a book that the judge is tried on, in four ways each, and how many there must be.

One that guesses is right on nine tenths of 10 pairs in 11 books of 1,000 and of 8 pairs in 4, by one way; by all four
independently in fewer than 1 of 10,000. One that is right on 95% of the pairs of each way is refused in 3 of 10.
"""

LEAST = 1.0

_SHORT = 32
"""Words: of so few p(level | window) stays near what it was before, and the rating near 3."""

_PASSAGES = (
    "The ferry came in a little after six, when the lamps along the quay were already lit. A woman in a grey coat "
    "walked down the plank with two children and a basket, looked round for somebody, and sat down on a crate to wait. "
    'Nobody had told her brother the hour. "He will be here when he has shut the shop," she said to the children, and '
    "gave each of them an apple.",
    "Bread keeps longest where the air is dry and cool. A loaf that is wrapped too tightly grows soft and then mouldy, "
    "because the water that leaves the crumb has nowhere to go; one that lies open is hard by the next evening. Most "
    "bakers therefore use paper or a cloth, turn the cut side down, and never put it near a window where the sun can "
    "reach it in the afternoon.",
)
"""Two passages of no book. Every level shows them: one of a book that is measured would favour a copy of it."""

_LEVELS: tuple[tuple[str, Callable[[str], str], Callable[[str], str]], ...] = (
    ("The words make no sense in this order.", shuffled, shuffled),
    ("The same words come again and again.", partial(repeated, words=6), partial(repeated, words=21)),
    (
        "It can be understood, but many sentences are wrong or clumsy.",
        partial(thinned, every=4),
        partial(thinned, every=4),
    ),
    (
        "The sentences are right and easy to read, with a few errors.",
        partial(thinned, every=12),
        partial(doubled, every=12),
    ),
    ("The sentences are right, clear and natural, as a good writer writes them.", str, str),
)
"""What a level is, and how each of the two passages is spoilt to be an example of it."""


class Rater(Protocol):
    """Rates texts by the rubric."""

    async def ratings(self, texts: Sequence[str]) -> list[float]:
        """Of each text, 1 to 5. Raises EndpointError, BadAnswer."""
        ...


async def known(rater: Rater, passages: Sequence[str]) -> dict[str, list[float]]:
    """The ratings of passages of a book, and of each of them spoilt in known ways, one of which no example shows.

    By way, each in the order of the passages.
    """
    found: dict[str, list[float]] = {}
    for passage in passages:
        ways = {
            "passage": passage,
            "shuffled": shuffled(passage),
            "repeated": repeated(passage, 28),
            "thinned": thinned(passage, 4),
            "replaced": replaced(passage, 4),
        }
        for way, rating in zip(ways, await rater.ratings([*ways.values()]), strict=True):
            found.setdefault(way, []).append(rating)
    return found


class Exemplified:
    """Rates texts by which level of the rubric, with its examples, makes them likeliest: a noisy channel.

    Min et al. (2022) classify so with models that answer a direct question badly.
    """

    def __init__(self, likelihood: Likelihood) -> None:
        self._likelihood = likelihood

    async def ratings(self, texts: Sequence[str]) -> list[float]:
        """Of each text, 1 to 5: the mean of the levels by p(level | text), all being as likely before it is read.

        White space is read as a space. Of some hundred tokens it is next to the likeliest level. Raises EndpointError,
        BadAnswer.
        """
        flat = [" ".join(text.split()) for text in texts]
        if not flat:
            return []
        found = [await self._likelihood.after(level, flat) for level in LEVELS]
        return [expected([total for total, _ in of_text]) for of_text in zip(*found, strict=True)]


def judged(story: str) -> list[str]:
    """The windows of a story that are rated: all but a last one that is short, if there is another."""
    found = windows(story)
    return found[:-1] if len(found) > 1 and len(found[-1].split()) < _SHORT else found


def expected(logprobs: Sequence[float]) -> float:
    """The mean of 1, 2, ... by probabilities that are proportional to these, of which only the logarithm is known."""
    most = max(logprobs)
    weights = [math.exp(value - most) for value in logprobs]
    return sum(rating * weight for rating, weight in enumerate(weights, start=1)) / sum(weights)


def accuracy(known: Mapping[str, Sequence[float]]) -> float:
    """The share of passages that are rated higher than what was spoilt, by the way in which that is least.

    An equal rating counts half.
    """
    whole = known["passage"]
    return min(
        fmean((one > other) + (one == other) / 2 for one, other in zip(whole, spoilt, strict=True))
        for way, spoilt in known.items()
        if way != "passage"
    )


def _level(number: int, what: str, *spoil: Callable[[str], str]) -> str:
    """What stands before a text that is held against a level."""
    shown = "".join(f"Text: {way(passage)}\n\n" for way, passage in zip(spoil, _PASSAGES, strict=True))
    return f"Pieces of text with a fluency of {number} of 5. {what}\n\n{shown}Text:"


LEVELS = [_level(number, *level) for number, level in enumerate(_LEVELS, start=1)]
"""What stands before a text that is held against each level."""

WORDS = [what for what, *_ in _LEVELS]
"""What each level is."""
