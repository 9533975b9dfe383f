"""A judge that is asked in words: another model, behind an endpoint of the operator's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites.base import BadAnswer
from services.evaluation.suites.copybench.rubric import WORDS

_TOKENS = 16
"""Of an answer: a word or a number, and what a model says around it."""

_EVENT = (
    "Passage of a story:\n{text}\n\nEvent of a book:\n{event}\n\nDoes the passage tell of this event, in whatever "
    "words? Answer with yes or no only."
)

_FLUENCY = (
    "Rate how fluent the text is, from 1 to 5.\n"
    + "".join(f"{level}: {what}\n" for level, what in enumerate(WORDS, start=1))
    + "\nText:\n{text}\n\nAnswer with the number only."
)


@dataclass(frozen=True)
class Instructed:
    """Of events and of fluency, greedily through chat completions. `item`: on whose behalf it is asked.

    CopyBench has Flan-T5-XL for the first and Prometheus for the second.
    """

    endpoint: Endpoint
    item: str

    async def gains(self, texts: Sequence[str], events: Sequence[str]) -> list[list[float]]:
        """(texts, events): 1 where the judge says yes, 0 where it says no. Raises EndpointError, BadAnswer."""
        return [[*await asyncio.gather(*(self._tells(text, event) for event in events))] for text in texts]

    async def ratings(self, texts: Sequence[str]) -> list[float]:
        """Of each text, 1 to 5. Raises EndpointError, BadAnswer."""
        return [*await asyncio.gather(*(self._rated(text) for text in texts))]

    async def _tells(self, text: str, event: str) -> float:
        said = await self._ask(_EVENT.format(text=text, event=event))
        found = re.match(r"\W*(yes|no)\b", said, re.IGNORECASE)
        if not found:
            raise BadAnswer(f"the judge was asked for yes or no and answered {said[:80]!r}")
        return float(found[1].lower() == "yes")

    async def _rated(self, text: str) -> float:
        said = await self._ask(_FLUENCY.format(text=text))
        found = re.search(r"(?<![\d.])[1-5](?![\d.]\d|\d)", said)
        if not found:
            raise BadAnswer(f"the judge was asked for a number from 1 to 5 and answered {said[:80]!r}")
        return float(found[0])

    async def _ask(self, text: str) -> str:
        messages = [{"role": "user", "content": text}]
        body = {"model": self.endpoint.model, "messages": messages, "max_tokens": _TOKENS, "temperature": 0}
        reply = await self.endpoint.post("/v1/chat/completions", body, item=self.item)
        try:
            return str(reply.body["choices"][0]["message"]["content"] or "")
        except (KeyError, IndexError, TypeError) as error:
            raise BadAnswer(f"the judge sent no chat completion: {str(reply.body)[:200]}") from error
