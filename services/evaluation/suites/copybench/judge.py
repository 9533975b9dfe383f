"""Whether a window of a story tells of an event, by the endpoint's own likelihood; and whether that judge can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites.base import BadAnswer

LEAST_ACCURACY = 0.9
"""On known pairs; a judge below it judges nothing."""

_SAYS = "\n\nThat is to say:"


class Judge:
    """Scores pairs of a text and an event: by how much the text makes the event likelier, in nats a token.

    (log p(event | text) - log p(event)) / tokens of the event, through /v1/score by the experts of `owners`, which
    are the same whatever is judged: a judge that changed with the setting would be measured with it.
    """

    def __init__(self, endpoint: Endpoint, owners: Sequence[str], item: str) -> None:
        self._endpoint, self._owners, self._item = endpoint, [*owners], item
        self._alone: dict[str, tuple[float, int]] = {}

    async def gains(self, texts: Sequence[str], events: Sequence[str]) -> list[list[float]]:
        """Of each text, (texts, events). Raises EndpointError, BadAnswer."""
        if new := [event for event in events if event not in self._alone]:
            self._alone |= zip(new, await self._likelihoods("", new), strict=True)
        return [
            [
                (total - self._alone[event][0]) / tokens
                for event, (total, tokens) in zip(events, await self._likelihoods(text, events), strict=True)
            ]
            for text in texts
        ]

    async def known(self, events: Sequence[Mapping[str, str]]) -> dict[str, list[float]]:
        """The gains of events by the windows of the book that have them, and by those of another event."""
        shift = len(events) // 2
        texts = [event["text"] for event in events]
        # all at once what every pair needs
        await self.gains([], texts)
        found: dict[str, list[float]] = {"entailed": [], "unrelated": []}
        for place, event in enumerate(events):
            other = (place + shift) % len(events)
            [[own, strange]] = await self.gains([event["context"]], [texts[place], texts[other]])
            found["entailed"].append(own)
            found["unrelated"].append(strange)
        return found

    async def _likelihoods(self, text: str, events: Sequence[str]) -> list[tuple[float, int]]:
        """log p of each event after the text, and its tokens."""
        before = f"{text}{_SAYS}".lstrip()
        texts = [before, *(f"{before} {event}" for event in events)]
        body = {"texts": texts, "owners": self._owners}
        reply = await self._endpoint.post("/v1/score", body, item=self._item)
        scored = _logprobs(reply.body, len(texts))
        start = len(scored[0])
        if any(len(one) <= start for one in scored[1:]):
            raise BadAnswer("the judge scored an event of no token")
        return [(sum(one[start:]), len(one) - start) for one in scored[1:]]


def _logprobs(body: Mapping[str, Any], texts: int) -> list[list[float]]:
    try:
        found = [[float(value) for value in one["logprobs"]] for one in body["data"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"the judge answered no scores: {str(body)[:200]}") from error
    if len(found) != texts:
        raise BadAnswer(f"the judge scored {len(found)} texts of {texts}")
    return found
