"""How fluent a text is, from 1 to 5 by a rubric, by the endpoint's own likelihood; and whether that judge can tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites.base import BadAnswer
from services.evaluation.suites.drawing import drawn
from services.evaluation.suites.scored import texts

PAIRS, FEWEST_PAIRS = 20, 8
"""Known pairs of a book, and how many there must be: a judge that guesses is right on nine tenths of 8 pairs in 4 of
1,000 books, and on those of 20 in 2 of 10,000."""

LEAST = 1.0

_DIGITS = ("1", "2", "3", "4", "5")

_ASKED = """Here is a piece of text. Rate how fluent its English is with a score from 1 to 5.
1: The words make no sense in this order.
2: Most sentences are broken, or the same words come again and again.
3: It can be understood, but many sentences are wrong or clumsy.
4: The sentences are right and easy to read, with a few errors.
5: The sentences are right, clear and natural, as a good writer writes them.

Text: {text}

Score (1 to 5):"""


class Rubric:
    """Rates texts through /v1/score by the experts of `owners`, which are the same whatever is judged."""

    def __init__(self, endpoint: Endpoint, owners: Sequence[str], item: str) -> None:
        self._endpoint, self._owners, self._item = endpoint, [*owners], item

    async def ratings(self, judged: Sequence[str]) -> list[float]:
        """Of each text, 1 to 5: the mean of the five digits by their probabilities as the rubric's next token.

        Raises EndpointError, BadAnswer.
        """
        return [await self._rating(text) for text in judged]

    async def known(self, passages: Sequence[str]) -> list[list[float]]:
        """Of each passage of a book, its rating and that of the same words in another order."""
        return [await self.ratings([passage, shuffled(passage)]) for passage in passages]

    async def _rating(self, text: str) -> float:
        asked = _ASKED.format(text=text)
        body = {"texts": [f"{asked} {digit}" for digit in _DIGITS], "owners": self._owners}
        reply = await self._endpoint.post("/v1/score", body, item=self._item)
        return expected(_last(texts(reply, len(_DIGITS))))


def expected(logprobs: Sequence[float]) -> float:
    """The mean of 1, 2, ... by probabilities that are proportional to these, of which only the logarithm is known."""
    most = max(logprobs)
    weights = [math.exp(value - most) for value in logprobs]
    return sum(rating * weight for rating, weight in enumerate(weights, start=1)) / sum(weights)


def accuracy(known: Sequence[Sequence[float]]) -> float:
    """The share of pairs in which the passage has the higher rating; an equal one counts half."""
    return fmean((passage > other) + (passage == other) / 2 for passage, other in known)


def shuffled(text: str) -> str:
    """The words of a text in another order, the same at every time."""
    return " ".join(word for _, word in drawn(enumerate(text.split()), 0, str))


def _last(scored: Sequence[Mapping[str, Any]]) -> list[float]:
    """log p of the last token of each text, all of which have the same tokens before it. Raises BadAnswer."""
    try:
        tokens = [[int(token) for token in one["tokens"]] for one in scored]
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer("the judge's scores have no tokens") from error
    if any(len(one["logprobs"]) != len(own) - 1 for one, own in zip(scored, tokens, strict=True)):
        raise BadAnswer("the judge has not scored every token but the first")
    if len({tuple(own[:-1]) for own in tokens}) != 1 or len({own[-1] for own in tokens}) != len(tokens):
        raise BadAnswer("the judge's tokenizer has no token of its own for each digit from 1 to 5")
    found: list[float] = [one["logprobs"][-1] for one in scored]
    if max(found) > 1e-6:
        raise BadAnswer(f"the judge scored a digit with the logarithm {max(found):g}, which is of no probability")
    return found
