"""How fluent a text is, from 1 to 5 by a rubric with examples, by the endpoint's own likelihood; and whether that judge
can tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from services.evaluation.suites.copybench.likelihood import Likelihood
from services.evaluation.suites.copybench.spoilt import doubled, repeated, replaced, shuffled, thinned

EXAMPLES = 2
"""Passages of a book of which the examples of every level are made."""

PAIRS, FEWEST_PAIRS = 10, 8
"""Other passages that the judge is tried on, and how many there must be: one that guesses is right on nine tenths of 8
pairs of a kind in 4 of 1,000 books and of 10 pairs in 11, and the judge is tried on four kinds."""

LEAST = 1.0

_EXAMPLE_WORDS = 64

_LEVELS = (
    "The words make no sense in this order.",
    "The same words come again and again.",
    "It can be understood, but many sentences are wrong or clumsy.",
    "The sentences are right and easy to read, with a few errors.",
    "The sentences are right, clear and natural, as a good writer writes them.",
)


class Rubric:
    """Rates texts by which level of the rubric makes them likeliest: a noisy channel (Min et al. 2022), which small
    models master that cannot answer what they are asked.

    `examples`: passages of a book. Every level shows the same ones, each spoilt as the level says, so that what they
    are about speaks for none.
    """

    def __init__(self, likelihood: Likelihood, examples: Sequence[str]) -> None:
        self._likelihood = likelihood
        self._levels = [_level(number, examples) for number in range(1, len(_LEVELS) + 1)]

    async def ratings(self, judged: Sequence[str]) -> list[float]:
        """Of each text, 1 to 5: the mean of the levels by p(level | text), all being as likely before it is read.

        White space is read as a space. Raises EndpointError, BadAnswer.
        """
        flat = [" ".join(text.split()) for text in judged]
        if not flat:
            return []
        found = [await self._likelihood.after(level, flat) for level in self._levels]
        return [expected([total for total, _ in of_text]) for of_text in zip(*found, strict=True)]

    async def known(self, passages: Sequence[str]) -> dict[str, list[float]]:
        """The ratings of passages of a book, and of each of them spoilt in known ways, one of which no example shows.

        By kind, each in the order of the passages.
        """
        found: dict[str, list[float]] = {}
        for passage in passages:
            kinds = {
                "passage": passage,
                "shuffled": shuffled(passage),
                "repeated": repeated(passage, 28),
                "thinned": thinned(passage, 4),
                "replaced": replaced(passage, 4),
            }
            for kind, rating in zip(kinds, await self.ratings([*kinds.values()]), strict=True):
                found.setdefault(kind, []).append(rating)
        return found


def expected(logprobs: Sequence[float]) -> float:
    """The mean of 1, 2, ... by probabilities that are proportional to these, of which only the logarithm is known."""
    most = max(logprobs)
    weights = [math.exp(value - most) for value in logprobs]
    return sum(rating * weight for rating, weight in enumerate(weights, start=1)) / sum(weights)


def accuracy(known: Mapping[str, Sequence[float]]) -> float:
    """The share of passages that are rated higher than what was spoilt, of the kind where it is least.

    An equal rating counts half.
    """
    whole = known["passage"]
    return min(
        fmean((one > other) + (one == other) / 2 for one, other in zip(whole, spoilt, strict=True))
        for kind, spoilt in known.items()
        if kind != "passage"
    )


def _level(number: int, examples: Sequence[str]) -> str:
    """What stands before a text that is held against a level."""
    one, other = (" ".join(example.split()[:_EXAMPLE_WORDS]) for example in examples)
    shown = {
        1: (shuffled(one), shuffled(other)),
        2: (repeated(one, 6), repeated(other, 21)),
        3: (thinned(one, 4), thinned(other, 4)),
        4: (thinned(one, 12), doubled(other, 12)),
        5: (one, other),
    }[number]
    pieces = "".join(f"Text: {text}\n\n" for text in shown)
    return f"Pieces of text with a fluency of {number} of 5. {_LEVELS[number - 1]}\n\n{pieces}Text:"
