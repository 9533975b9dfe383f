"""What a request's verifier says of its samples: each text is verified once, when somebody first asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.pipeline.short_answer import extract
from gateway.verify.faults import VerifierFailed
from gateway.verify.verifiers import Verifiers
from shared.contracts.verifier import Verifier


class Verdicts:
    """`failures`: why some texts have no verdict."""

    def __init__(self, verifier: Verifier, question: str, verifiers: Verifiers) -> None:
        self._verifier, self._question, self._verifiers = verifier, question, verifiers
        self._asked: dict[str, asyncio.Task[bool | None]] = {}
        self.failures: list[str] = []

    async def of(self, text: str) -> bool | None:
        """Whether a sample is verified; None if the verifier failed. Cancelling it gives the verification up."""
        if text not in self._asked or self._asked[text].cancelled():
            self._asked[text] = asyncio.create_task(self._verify(text))
        return await self._asked[text]

    async def all(self, texts: Sequence[str]) -> list[bool | None]:
        """Of every text, at once."""
        return list(await asyncio.gather(*(self.of(text) for text in texts)))

    def known(self, texts: Sequence[str]) -> list[bool | None]:
        """Of every text, as far as it was asked for and has come."""
        asked = [self._asked.get(text) for text in texts]
        return [task.result() if task and task.done() and not task.cancelled() else None for task in asked]

    async def _verify(self, text: str) -> bool | None:
        try:
            return await self._verifiers.verify(self._verifier, self._question, text, extract(text))
        except VerifierFailed as error:
            self.failures.append(str(error))
            return None
