"""The samples: N in one batch, whole or until the vote is decided, or one as a stream of its text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from gateway.pipeline.ask import FINAL_CUE, Ask
from gateway.pipeline.sample import Draft, Samples, check_mask
from gateway.pipeline.short_answer import is_final
from gateway.pipeline.thinking import Splitter
from gateway.policy import Consent
from shared.clients.base import ServiceError
from shared.clients.model import ModelClient
from shared.contracts.model import FinalDetail, ModelChatChunk, ModelChatRequest
from shared.contracts.openai import ChoiceLogprobs, FinishReason, StreamOptions, TokenLogprob

FORCED_AT_ONCE = 16
"""Forced final answers of one request at a time: each is a request of its own, and the model's queue has an end."""
BUSY_PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds."""

Parting = Callable[[], Splitter | None]
"""Makes what parts a sample's text; a forced final answer is an answer and nothing else."""


@dataclass(frozen=True)
class Piece:
    """What a stream adds: to the thinking, and to the answer."""

    reasoning: str
    text: str


async def generate(ask: Ask, consent: Consent, client: ModelClient) -> Samples:
    """Every sample, those that were cut off with a forced final answer. Raises ServiceError, ConsentNotApplied."""
    first = await _samples(ask.request, consent, client, ask.splitter)
    turns = asyncio.Semaphore(FORCED_AT_ONCE)
    drafts = await asyncio.gather(*(finished(draft, ask, consent, client, turns) for draft in first.drafts))
    return Samples(tuple(drafts), first.prompt_tokens, first.fingerprint)


async def stream(ask: Ask, consent: Consent, client: ModelClient) -> AsyncGenerator[Piece | Samples]:
    """The text of one sample as it comes, and at the end the sample. Leaving the iterator aborts it upstream.

    Raises ServiceError, ConsentNotApplied.
    """
    first: Samples | None = None
    splitter = ask.splitter()
    async with aclosing(_stream(ask.request, consent, client, ask.splitter)) as parts:
        async for part in parts:
            if isinstance(part, str):
                yield Piece(*splitter.take(part))
            else:
                first = part
    if first is None:
        raise ServiceError("model", "the stream ended early")
    yield Piece(*splitter.end())
    draft = first.drafts[0]
    if not _cut_off(draft, ask):
        yield first
        return
    cue = ask.cue(draft)
    lead, begun = "" if draft.thinking else FINAL_CUE, False
    try:
        async with aclosing(_stream(ask.final(draft), consent, client)) as parts:
            async for part in parts:
                if isinstance(part, str):
                    yield Piece("", part if begun else lead + part)
                    begun = True
                else:
                    draft = draft.then(cue, part.drafts[0])
    except ServiceError as error:
        if begun:
            # the beginning of a final answer is out, and cannot be taken back
            raise
        draft = replace(draft, unforced=str(error))
    yield Samples((draft,), first.prompt_tokens, first.fingerprint)


async def finished(draft: Draft, ask: Ask, consent: Consent, client: ModelClient, turns: asyncio.Semaphore) -> Draft:
    """A sample with its forced final answer, if it was cut off without one; samples of a batch take `turns`.

    What it has said stands where the answer cannot be forced: there is no room for it, or the model is too busy even
    after some waiting. Raises ConsentNotApplied.
    """
    if not _cut_off(draft, ask):
        return draft
    try:
        async with turns:
            final = await _patiently(ask.final(draft), consent, client)
    except ServiceError as error:
        return replace(draft, unforced=str(error))
    return draft.then(ask.cue(draft), final.drafts[0])


async def _patiently(request: ModelChatRequest, consent: Consent, client: ModelClient) -> Samples:
    """Asked again when the queue is full: what was generated so far would be lost."""
    for pause in BUSY_PAUSES:
        try:
            return await _samples(request, consent, client)
        except ServiceError as error:
            if error.status != 429:
                raise
        await asyncio.sleep(pause)
    return await _samples(request, consent, client)


def _cut_off(draft: Draft, ask: Ask) -> bool:
    """Whether the budget, or the model itself in mid-thought, ended the sample before it had answered."""
    if not ask.forced:
        return False
    return draft.thinking or (draft.finish_reason == "length" and not is_final(draft.text))


async def _samples(
    request: ModelChatRequest, consent: Consent, client: ModelClient, splitter: Parting = lambda: None
) -> Samples:
    answer = await client.chat(request)
    details = [choice.candor for choice in answer.choices]
    check_mask(consent, request.candor.experts, answer.candor, details)
    drafts = tuple(
        Draft.of(choice.message.content, choice.finish_reason, choice.candor, choice.logprobs, splitter())
        for choice in sorted(answer.choices, key=lambda choice: choice.index)
    )
    return Samples(drafts, answer.usage.prompt_tokens, answer.system_fingerprint)


async def _stream(
    request: ModelChatRequest, consent: Consent, client: ModelClient, splitter: Parting = lambda: None
) -> AsyncGenerator[str | Samples]:
    streamed = request.model_copy(update={"stream": True, "stream_options": StreamOptions(include_usage=True)})
    heard = _Heard()
    try:
        async with client.stream_chat(streamed) as chunks:
            async for chunk in chunks:
                if not heard.begun:
                    # no text goes on before the service has said under which mask it computes
                    check_mask(consent, request.candor.experts, chunk.candor)
                if added := heard.take(chunk):
                    yield added
    except ValidationError as error:
        # in mid-stream the service can only send an error where a chunk was due
        raise ServiceError("model", "the stream broke off with an error") from error
    if heard.detail is None or heard.reason is None or not heard.detail.samples:
        raise ServiceError("model", "the stream ended without its last chunk")
    check_mask(consent, request.candor.experts, heard.detail, heard.detail.samples)
    logprobs = ChoiceLogprobs(content=heard.logprobs) if heard.logprobs else None
    draft = Draft.of(heard.text, heard.reason, heard.detail.samples[0], logprobs, splitter())
    yield Samples((draft,), heard.prompt_tokens)


@dataclass
class _Heard:
    """What the chunks of a stream have said so far."""

    begun: bool = False
    text: str = ""
    reason: FinishReason | None = None
    detail: FinalDetail | None = None
    prompt_tokens: int = 0
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def take(self, chunk: ModelChatChunk) -> str:
        """The text a chunk adds."""
        self.begun, added = True, ""
        for choice in chunk.choices:
            added += choice.delta.content or ""
            self.reason = choice.finish_reason or self.reason
            self.logprobs += choice.logprobs.content if choice.logprobs else []
        self.text += added
        self.detail = chunk.candor if isinstance(chunk.candor, FinalDetail) else self.detail
        self.prompt_tokens = chunk.usage.prompt_tokens if chunk.usage else self.prompt_tokens
        return added
