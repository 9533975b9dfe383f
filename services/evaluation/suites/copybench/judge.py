"""Whether a window of a story tells of an event; and whether the judge of it can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from services.evaluation.suites.copybench.likelihood import Likelihood

LEAST_ACCURACY = 0.9
"""On known pairs; a judge below it judges nothing."""

_SAYS = "\n\nThat is to say:"


class Judge(Protocol):
    """Scores pairs of a text and an event: the higher, the rather does the text tell of it. The scale is its own."""

    async def gains(self, texts: Sequence[str], events: Sequence[str]) -> list[list[float]]:
        """Of each text, (texts, events). Raises EndpointError, BadAnswer."""
        ...


async def known(judge: Judge, events: Sequence[Mapping[str, str]]) -> dict[str, list[float]]:
    """The scores of events by the windows of the book that have them, and by those of another event."""
    shift = len(events) // 2
    texts = [event["text"] for event in events]
    # all at once what every pair needs
    await judge.gains([], texts)
    found: dict[str, list[float]] = {"entailed": [], "unrelated": []}
    for place, event in enumerate(events):
        other = (place + shift) % len(events)
        [[own, strange]] = await judge.gains([event["context"]], [texts[place], texts[other]])
        found["entailed"].append(own)
        found["unrelated"].append(strange)
    return found


class Likelier:
    """By how much the text makes the event likelier to the endpoint's own model, in nats a token.

    (log p(event | text) - log p(event)) / tokens of the event.
    """

    def __init__(self, likelihood: Likelihood) -> None:
        self._likelihood = likelihood
        self._alone: dict[str, tuple[float, int]] = {}

    async def gains(self, texts: Sequence[str], events: Sequence[str]) -> list[list[float]]:
        """Of each text, (texts, events). Raises EndpointError, BadAnswer."""
        if new := [event for event in events if event not in self._alone]:
            self._alone |= zip(new, await self._after("", new), strict=True)
        return [
            [
                (total - self._alone[event][0]) / tokens
                for event, (total, tokens) in zip(events, await self._after(text, events), strict=True)
            ]
            for text in texts
        ]

    async def _after(self, text: str, events: Sequence[str]) -> list[tuple[float, int]]:
        return await self._likelihood.after(f"{text}{_SAYS}".lstrip(), events)
