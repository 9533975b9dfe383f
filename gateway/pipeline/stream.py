"""An answer as chunks: one sample's text as it comes, or the winner's when it is chosen; the report at the end."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.pipeline.answer import report
from gateway.pipeline.choose import Chosen, choose, sample
from gateway.pipeline.cite import without_markers
from gateway.pipeline.generate import Piece, stream
from gateway.pipeline.prepare import Prepared
from gateway.pipeline.respond import first_chunk, last_chunks, reasoning_chunk, text_chunk
from gateway.pipeline.run import Run
from gateway.pipeline.sample import Samples
from gateway.services import Services
from shared.clients.base import ServiceError
from shared.contracts.candor import AnswerChunk

_WORDS = re.compile(r"\s*\S+\s*?")
_UNCERTAIN = re.compile(r"(?:\s|\[\d{0,2}\]?)*$")


async def chunks(prepared: Prepared, services: Services, run: Run, base_url: str) -> AsyncGenerator[AnswerChunk]:
    """Every chunk. Raises CandorError, before the first chunk if the model refuses the prompt."""
    part = _voted if prepared.options.sampling.samples > 1 else _as_it_comes
    said: tuple[Samples, Chosen] | None = None
    async with aclosing(part(prepared, services, run)) as parts:
        async for one in parts:
            if isinstance(one, AnswerChunk):
                yield one
            else:
                said = one
    if said is None:
        raise ServiceError("model", "the stream ended without its sample")
    samples, chosen = said
    final = await report(prepared, samples, chosen, services, run)
    for chunk in last_chunks(prepared, samples, chosen, final, base_url):
        yield chunk


async def _voted(
    prepared: Prepared, services: Services, run: Run
) -> AsyncGenerator[AnswerChunk | tuple[Samples, Chosen]]:
    """The chosen texts, and at the end the samples."""
    samples = await sample(prepared, services, run)
    chosen = await choose(prepared, samples, run)
    for index, marked in enumerate(chosen.choices):
        yield first_chunk(prepared, index)
        if reasoning := samples.drafts[chosen.vote.order[index]].reasoning:
            yield reasoning_chunk(prepared, index, reasoning)
        for words in _WORDS.findall(marked.text):
            yield text_chunk(prepared, index, words)
    yield samples, chosen


async def _as_it_comes(
    prepared: Prepared, services: Services, run: Run
) -> AsyncGenerator[AnswerChunk | tuple[Samples, Chosen]]:
    """The text of one sample, and at the end the sample."""
    clean, samples, begun = Cleaner(len(prepared.ask.passages)), None, False
    with run.needed("generate"):
        async with aclosing(stream(prepared.ask, prepared.consent, services.model)) as parts:
            async for part in parts:
                if not isinstance(part, Piece):
                    samples = part
                    continue
                if not begun and (part.reasoning or part.text):
                    begun = True
                    yield first_chunk(prepared, 0)
                if part.reasoning:
                    yield reasoning_chunk(prepared, 0, part.reasoning)
                if text := clean.take(part.text):
                    yield text_chunk(prepared, 0, text)
        if samples is None:
            raise ServiceError("model", "the stream ended without its sample")
    chosen = await choose(prepared, samples, run, streamed=True)
    if not begun:
        yield first_chunk(prepared, 0)
    # what was held back, and the citations, which only the whole text can have
    if rest := chosen.choices[0].text.removeprefix(clean.sent):
        yield text_chunk(prepared, 0, rest)
    yield samples, chosen


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
