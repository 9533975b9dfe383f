"""Text completions: prompts as text or tokens, one or many, with echo; whole or as they come."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from services.model.engines.base import Delta, Finish, Generation, Token
from services.model.errors import ContextLengthExceeded
from services.model.service import ModelService
from services.model.serving import logprobs, requests
from services.model.serving.echo import Echo, echoes, joined
from services.model.serving.samples import Sample, collect, detail
from services.model.serving.streams import Generations
from shared.contracts.model import ModelCompletionChoice, ModelCompletionRequest, ModelTextCompletion, SampleDetail
from shared.contracts.openai import CompletionLogprobs, Usage
from shared.http.errors import InvalidRequest


@dataclass
class Completion:
    """A completion request, understood and queued: nothing about it can be refused any more."""

    service: ModelService
    body: ModelCompletionRequest
    allowed: frozenset[int]
    prompts: list[list[int]]
    echoes: list[Echo]
    running: Generations
    id: str = field(default_factory=lambda: "cmpl-" + secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    async def start(cls, service: ModelService, body: ModelCompletionRequest) -> Completion:
        """Queue a request. Raises the errors of unknown names, bad fields, a long prompt, a full queue."""
        allowed = service.mask(body.model, body.candor.named(), "candor.experts")
        _check(body)
        # in a thread: long prompts take long to tokenise and to check
        prompts = await asyncio.to_thread(_prompts, service, body.prompt)
        asked = [Echo()] * len(prompts)
        if body.echo:
            asked = await echoes(service, prompts, allowed, body.logprobs)
        generations = await asyncio.to_thread(_generations, service, body, prompts, allowed)
        return cls(service, body, allowed, prompts, asked, Generations(service.engine, generations))

    async def whole(self) -> ModelTextCompletion:
        """All completions of all prompts, prompt by prompt, when the last one has ended."""
        samples = await collect(self.running, len(self.prompts), self.body.n)
        choices = [
            self._choice(place, index, one) for place, own in enumerate(samples) for index, one in enumerate(own)
        ]
        answer = self._answer(choices)
        answer.usage = self._usage(sum(choice.candor.tokens for choice in choices if choice.candor))
        answer.warnings = requests.warnings(self.body)
        return answer

    async def chunks(self) -> AsyncGenerator[ModelTextCompletion]:
        """The completions as they come; the last of each has its detail."""
        with self.running:
            new = 0
            for place, echo in enumerate(self.echoes):
                for index in range(self.body.n if self.body.echo else 0):
                    yield self._answer([self._begun(place, index, echo)])
            async for place, deltas in self.running:
                for delta in deltas:
                    new += len(delta.finish.logprobs) if delta.finish else 0
                    yield self._answer([self._added(place, delta)])
            if self.body.stream_options is not None and self.body.stream_options.include_usage:
                last = self._answer([])
                last.usage = self._usage(new)
                yield last

    def _choice(self, place: int, index: int, sample: Sample) -> ModelCompletionChoice:
        echo = self.echoes[place]
        return ModelCompletionChoice(
            index=place * self.body.n + index,
            text=echo.text + sample.text,
            finish_reason=sample.finish.reason if sample.finish else "length",
            logprobs=joined(echo.logprobs, self._logprobs(place, sample.tokens, sample.finish)),
            candor=self._detail(sample.finish),
        )

    def _added(self, place: int, delta: Delta) -> ModelCompletionChoice:
        return ModelCompletionChoice(
            index=place * self.body.n + delta.choice,
            text=delta.text,
            finish_reason=delta.finish.reason if delta.finish else None,
            logprobs=self._logprobs(place, delta.tokens, delta.finish),
            candor=self._detail(delta.finish),
        )

    def _begun(self, place: int, index: int, echo: Echo) -> ModelCompletionChoice:
        """The echoed prompt, which may be all there is."""
        return ModelCompletionChoice(
            index=place * self.body.n + index,
            text=echo.text,
            finish_reason=None if self.body.max_tokens else "length",
            logprobs=echo.logprobs,
        )

    def _logprobs(self, place: int, tokens: list[Token], finish: Finish | None) -> CompletionLogprobs | None:
        if self.body.logprobs is None:
            return None
        if finish is not None and finish.end is not None:
            # the token that ends the sequence has a log-probability too: who asked for a token gets a token
            tokens = [*tokens, finish.end]
        return logprobs.for_completion(self.service.tokenizer, tokens, len(self.echoes[place].text))

    def _detail(self, finish: Finish | None) -> SampleDetail | None:
        return detail(self.service, finish, tokens=self.body.candor.tokens) if finish else None

    def _answer(self, choices: list[ModelCompletionChoice]) -> ModelTextCompletion:
        applied = self.service.applied(self.allowed)
        return ModelTextCompletion(
            id=self.id, created=self.created, model=self.body.model, choices=choices, candor=applied
        )

    def _usage(self, new: int) -> Usage:
        prompt = sum(map(len, self.prompts))
        return Usage(prompt_tokens=prompt, completion_tokens=new, total_tokens=prompt + new)


def _check(body: ModelCompletionRequest) -> None:
    if body.best_of is not None and body.best_of != body.n:
        raise InvalidRequest("best_of is not served: ask for n and choose among them.", field="best_of")
    if not body.max_tokens and not body.echo:
        raise InvalidRequest("max_tokens is 0 and echo is false: there would be nothing to return.", field="max_tokens")
    for name in ("continue_final_message", "control", "when_ended"):
        if getattr(body.candor, name):
            detail = f"{name} belongs to chat; a completion always continues its prompt, token by token."
            raise InvalidRequest(detail, field=f"candor.{name}")


def _prompts(service: ModelService, given: str | list[str] | list[int] | list[list[int]]) -> list[list[int]]:
    """The tokens of each prompt; a list of numbers is one prompt."""
    given = [given] if isinstance(given, str) else given
    numbers = [one for one in given if isinstance(one, int)]
    others = [one for one in given if not isinstance(one, int)]
    prompts = [numbers] if numbers else []
    prompts += [service.tokenizer.encode(one) if isinstance(one, str) else one for one in others]
    if not prompts:
        raise InvalidRequest("prompt is empty.", field="prompt")
    if len(prompts) > service.settings.max_queue:
        detail = f"prompt has {len(prompts)} entries; at most {service.settings.max_queue} can be queued at once."
        raise InvalidRequest(detail, field="prompt")
    for prompt in prompts:
        service.check_tokens(prompt, "prompt")
        if len(prompt) > service.engine.info.max_length:
            raise ContextLengthExceeded(service.engine.info.max_length, len(prompt), 0, "prompt")
    return prompts


def _generations(
    service: ModelService, body: ModelCompletionRequest, prompts: list[list[int]], allowed: frozenset[int]
) -> list[Generation]:
    """What is to be generated; nothing when only the prompts are to be echoed."""
    return [_generation(service, body, prompt, allowed) for prompt in prompts if body.max_tokens]


def _generation(
    service: ModelService, body: ModelCompletionRequest, prompt: list[int], allowed: frozenset[int]
) -> Generation:
    max_tokens = service.new_tokens(len(prompt), body.max_tokens, "prompt")
    return Generation(tuple(prompt), allowed, requests.sampling(service, body, max_tokens, body.logprobs or 0), body.n)
