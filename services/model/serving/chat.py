"""Chat completions: conversations to prompts, samples to answers, whole or as they come."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from services.model.engines.base import Delta, Finish, Generation
from services.model.service import ModelService
from services.model.serving import logprobs, requests
from services.model.serving.prompts import conversation
from services.model.serving.samples import Sample, collect, detail
from services.model.serving.streams import Generations
from shared.contracts.model import (
    EndedDetail,
    FinalDetail,
    ModelChatChunk,
    ModelChatCompletion,
    ModelChatRequest,
    ModelChoice,
    SampleDetail,
)
from shared.contracts.openai import AssistantMessage, ChunkChoice, FinishReason, Usage
from shared.contracts.openai import Delta as WireDelta
from shared.http.errors import InvalidRequest


@dataclass
class Chat:
    """A chat request, understood and queued: nothing about it can be refused any more."""

    service: ModelService
    body: ModelChatRequest
    generation: Generation
    running: Generations
    id: str = field(default_factory=lambda: "chatcmpl-" + secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    async def start(cls, service: ModelService, body: ModelChatRequest) -> Chat:
        """Queue a request. Raises the errors of unknown names, bad fields, a long prompt, a full queue."""
        # in a thread: a long conversation takes long to tokenise
        generation = await asyncio.to_thread(_generation, service, body)
        return cls(service, body, generation, Generations(service.engine, [generation]))

    async def whole(self) -> ModelChatCompletion:
        """All answers, when the last one has ended."""
        (samples,) = await collect(self.running, 1, self.body.n)
        choices = [
            ModelChoice(
                index=index,
                message=AssistantMessage(content=sample.text),
                finish_reason=sample.end().reason,
                logprobs=logprobs.for_chat(self.service.tokenizer, sample.tokens) if self.body.logprobs else None,
                candor=detail(self.service, sample.end(), tokens=self.body.candor.tokens),
            )
            for index, sample in enumerate(samples)
        ]
        return ModelChatCompletion(
            id=self.id,
            created=self.created,
            model=self.body.model,
            choices=choices,
            usage=self._usage(sum(choice.candor.tokens for choice in choices)),
            warnings=requests.warnings(self.body),
            candor=self.service.applied(self.generation.allowed),
        )

    async def ended(self) -> AsyncGenerator[ModelChatChunk]:
        """Each answer when it has ended, whole, with the usage so far; the first chunk has the mask."""
        samples = [Sample() for _ in range(self.body.n)]
        applied = self.service.applied(self.generation.allowed)
        with self.running:
            chunk = self._chunk()
            # before anything is computed: the reader may refuse the mask
            chunk.candor = applied
            yield chunk
            async for _, deltas in self.running:
                for delta in deltas:
                    samples[delta.choice].add(delta)
                if over := [delta.choice for delta in deltas if delta.finish is not None]:
                    yield self._whole(over, samples)

    def _whole(self, over: Sequence[int], samples: Sequence[Sample]) -> ModelChatChunk:
        """The samples that ended in one step: who counts them must not take some for the last that there are."""
        chunk = self._chunk()
        for index in over:
            sample = samples[index]
            delta = WireDelta(role="assistant", content=sample.text)
            choice = ChunkChoice(index=index, delta=delta, finish_reason=sample.end().reason)
            if self.body.logprobs:
                choice.logprobs = logprobs.for_chat(self.service.tokenizer, sample.tokens)
            chunk.choices.append(choice)
        generated = [sample.generated for sample in samples]
        chunk.candor = EndedDetail(
            **self.service.applied(self.generation.allowed).model_dump(),
            ended=[detail(self.service, samples[index].end(), tokens=self.body.candor.tokens) for index in over],
            generated=generated,
        )
        chunk.usage = self._usage(sum(generated))
        return chunk

    async def chunks(self) -> AsyncGenerator[ModelChatChunk]:
        """The answers as they come; the first chunk has the mask, the last one also the detail of each."""
        details: dict[int, SampleDetail] = {}
        with self.running:
            for index in range(self.body.n):
                chunk = self._chunk(index, WireDelta(role="assistant", content=""))
                if index == 0:
                    # before any text, so that a reader can refuse an answer under another mask than it asked for
                    chunk.candor = self.service.applied(self.generation.allowed)
                yield chunk
            async for _, deltas in self.running:
                for delta in deltas:
                    if delta.text:
                        yield self._text(delta)
                    if delta.finish is not None:
                        yield self._end(delta.choice, delta.finish, details)
        if self._with_usage:
            chunk = self._chunk()
            chunk.candor, chunk.usage = self._final(details), self._usage(sum(one.tokens for one in details.values()))
            yield chunk

    def _end(self, index: int, finish: Finish, details: dict[int, SampleDetail]) -> ModelChatChunk:
        """The end of an answer; the end of the last one carries all details, unless usage is still to come."""
        details[index] = detail(self.service, finish, tokens=self.body.candor.tokens)
        chunk = self._chunk(index, WireDelta(), finish.reason)
        if len(details) == self.body.n and not self._with_usage:
            chunk.candor = self._final(details)
        return chunk

    @property
    def _with_usage(self) -> bool:
        return self.body.stream_options is not None and self.body.stream_options.include_usage

    def _text(self, delta: Delta) -> ModelChatChunk:
        chunk = self._chunk(delta.choice, WireDelta(content=delta.text))
        if self.body.logprobs:
            chunk.choices[0].logprobs = logprobs.for_chat(self.service.tokenizer, delta.tokens)
        return chunk

    def _chunk(
        self, index: int | None = None, delta: WireDelta | None = None, reason: FinishReason | None = None
    ) -> ModelChatChunk:
        chunk = ModelChatChunk(id=self.id, created=self.created, model=self.body.model, choices=[])
        if index is not None and delta is not None:
            chunk.choices.append(ChunkChoice(index=index, delta=delta, finish_reason=reason))
        return chunk

    def _final(self, details: dict[int, SampleDetail]) -> FinalDetail:
        applied = self.service.applied(self.generation.allowed)
        return FinalDetail(**applied.model_dump(), samples=[details[index] for index in sorted(details)])

    def _usage(self, new: int) -> Usage:
        prompt = len(self.generation.prompt)
        return Usage(prompt_tokens=prompt, completion_tokens=new, total_tokens=prompt + new)


def _generation(service: ModelService, body: ModelChatRequest) -> Generation:
    allowed = service.mask(body.model, body.candor.named(), "candor.experts")
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequest("top_logprobs needs logprobs to be true.", field="top_logprobs")
    continued, control = body.candor.continue_final_message, body.candor.control
    if control and not continued:
        detail = "control tokens are of the message to be continued, and continue_final_message is not set."
        raise InvalidRequest(detail, field="candor.control")
    if body.candor.when_ended and not body.stream:
        raise InvalidRequest("when_ended is for a stream; else every answer is whole.", field="candor.when_ended")
    prompt = conversation(service, body.messages, continued, "candor.continue_final_message", control=control)
    max_tokens = service.new_tokens(len(prompt), body.token_limit(), "messages")
    sampling = requests.sampling(service, body, max_tokens, body.top_logprobs or 0)
    return Generation(tuple(prompt), allowed, sampling, body.n)
