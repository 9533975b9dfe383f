"""An answer as chunks: one sample's text as it comes, or the winner's when it is chosen; the report at the end."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.pipeline.answer import Prepared, choose, report
from gateway.pipeline.cite import without_markers
from gateway.pipeline.generate import generate, stream
from gateway.pipeline.respond import first_chunk, last_chunks, text_chunk
from gateway.pipeline.run import Run
from gateway.services import Services
from shared.clients.base import ServiceError
from shared.contracts.candor import AnswerChunk

_WORDS = re.compile(r"\s*\S+\s*?")
_UNCERTAIN = re.compile(r"(?:\s|\[\d{0,2}\]?)*$")


async def chunks(prepared: Prepared, services: Services, run: Run, base_url: str) -> AsyncGenerator[AnswerChunk]:
    """Every chunk. Raises CandorError, before the first chunk if the model refuses the prompt."""
    if prepared.options.sampling.samples > 1:
        with run.needed("generate"):
            samples = await generate(prepared.ask, prepared.consent, services.model)
        with run.timed("aggregate"):
            chosen = choose(prepared, samples)
        for index, marked in enumerate(chosen.choices):
            yield first_chunk(prepared, index)
            for words in _WORDS.findall(marked.text):
                yield text_chunk(prepared, index, words)
    else:
        clean, last = Cleaner(len(prepared.ask.passages)), None
        with run.needed("generate"):
            async with aclosing(stream(prepared.ask, prepared.consent, services.model)) as parts:
                async for part in parts:
                    if not isinstance(part, str):
                        last = part
                        continue
                    if not clean.raw:
                        yield first_chunk(prepared, 0)
                    if text := clean.take(part):
                        yield text_chunk(prepared, 0, text)
            if last is None:
                raise ServiceError("model", "the stream ended without its sample")
        samples = last
        with run.timed("aggregate"):
            chosen = choose(prepared, samples, streamed=True)
        if not clean.raw:
            yield first_chunk(prepared, 0)
        # what was held back, and the citations, which only the whole text can have
        if rest := chosen.choices[0].text.removeprefix(clean.sent):
            yield text_chunk(prepared, 0, rest)
    final = await report(prepared, samples, chosen, services, run)
    for chunk in last_chunks(prepared, samples, chosen, final, base_url):
        yield chunk


class Cleaner:
    """Text on its way to the client, without the model's own markers and the whitespace around the answer.

    What may yet turn out to be a marker, or the whitespace before one, is held back. `raw` is what came in,
    `sent` what went out.
    """

    def __init__(self, passages: int) -> None:
        self._passages = passages
        self.raw = self.sent = ""

    def take(self, text: str) -> str:
        """What can be sent now."""
        self.raw += text
        uncertain = _UNCERTAIN.search(self.raw)
        certain = self.raw[: uncertain.start()] if uncertain else self.raw
        clean = without_markers(certain, self._passages).lstrip()
        added, self.sent = clean[len(self.sent) :], clean
        return added
