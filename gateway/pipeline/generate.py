"""The samples: N in one batch, or one as a stream of its text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from pydantic import ValidationError

from gateway.pipeline.ask import FINAL_CUE, Ask
from gateway.pipeline.sample import Draft, Samples, check_mask
from gateway.pipeline.short_answer import is_final
from gateway.policy import Consent
from shared.clients.base import ServiceError
from shared.clients.model import ModelClient
from shared.contracts.model import FinalDetail, ModelChatChunk, ModelChatRequest
from shared.contracts.openai import ChoiceLogprobs, FinishReason, StreamOptions, TokenLogprob


async def generate(ask: Ask, consent: Consent, client: ModelClient) -> Samples:
    """Every sample, those that were cut off with a forced final answer. Raises ServiceError, ConsentNotApplied."""
    first = await _samples(ask.request, consent, client)
    drafts = await asyncio.gather(*(_finished(draft, ask, consent, client) for draft in first.drafts))
    return Samples(tuple(drafts), first.prompt_tokens, first.fingerprint)


async def stream(ask: Ask, consent: Consent, client: ModelClient) -> AsyncGenerator[str | Samples]:
    """The text of one sample as it comes, and at the end the sample. Leaving the iterator aborts it upstream.

    Raises ServiceError, ConsentNotApplied.
    """
    first: Samples | None = None
    async with aclosing(_stream(ask.request, consent, client)) as parts:
        async for part in parts:
            if isinstance(part, str):
                yield part
            else:
                first = part
    if first is None:
        raise ServiceError("model", "the stream ended early")
    draft = first.drafts[0]
    if not _cut_off(draft, ask):
        yield first
        return
    yield FINAL_CUE
    async with aclosing(_stream(ask.final(draft.text), consent, client)) as parts:
        async for part in parts:
            if isinstance(part, str):
                yield part
            else:
                draft = draft.then(FINAL_CUE, part.drafts[0])
    yield Samples((draft,), first.prompt_tokens, first.fingerprint)


async def _finished(draft: Draft, ask: Ask, consent: Consent, client: ModelClient) -> Draft:
    if not _cut_off(draft, ask):
        return draft
    try:
        final = await _samples(ask.final(draft.text), consent, client)
    except ServiceError:
        # no room for it, or a queue that is full by now: what the sample has said stands
        return draft
    return draft.then(FINAL_CUE, final.drafts[0])


def _cut_off(draft: Draft, ask: Ask) -> bool:
    """Whether the budget ended the sample before it had answered."""
    return ask.forced > 0 and draft.finish_reason == "length" and not is_final(draft.text)


async def _samples(request: ModelChatRequest, consent: Consent, client: ModelClient) -> Samples:
    answer = await client.chat(request)
    details = [choice.candor for choice in answer.choices]
    check_mask(consent, request.candor.experts, answer.candor, details)
    drafts = tuple(
        Draft.of(choice.message.content, choice.finish_reason, choice.candor, choice.logprobs)
        for choice in sorted(answer.choices, key=lambda choice: choice.index)
    )
    return Samples(drafts, answer.usage.prompt_tokens, answer.system_fingerprint)


async def _stream(request: ModelChatRequest, consent: Consent, client: ModelClient) -> AsyncGenerator[str | Samples]:
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
    draft = Draft.of(heard.text, heard.reason, heard.detail.samples[0], logprobs)
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
