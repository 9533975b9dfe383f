"""The echoed prompt of a completion: its text, and its tokens' log-probabilities (as lm-eval reads them)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from services.model.engines.base import Score, ScoreTask
from services.model.engines.text import TextStream
from services.model.service import ModelService
from services.model.serving.logprobs import by_name
from services.model.serving.scores import score
from shared.contracts.openai import CompletionLogprobs


@dataclass(frozen=True)
class Echo:
    """A prompt as text, its control tokens by their names, and its log-probabilities when they were asked for."""

    text: str = ""
    logprobs: CompletionLogprobs | None = None


async def echoes(
    service: ModelService, prompts: Sequence[list[int]], allowed: frozenset[int], candidates: int | None
) -> list[Echo]:
    """Each prompt as its completion begins with it; `candidates` is None when no log-probability was asked for."""
    if candidates is None:
        return await asyncio.to_thread(
            lambda: [Echo(service.tokenizer.decode(prompt, special=True)) for prompt in prompts]
        )
    tasks = [ScoreTask(tuple(prompt), allowed, candidates) for prompt in prompts]
    scores = await score(service, tasks)
    return await asyncio.to_thread(
        lambda: [_echo(service, prompt, found) for prompt, found in zip(prompts, scores, strict=True)]
    )


def _echo(service: ModelService, prompt: list[int], found: Score) -> Echo:
    tokenizer = service.tokenizer
    stream = TextStream(partial(tokenizer.decode, special=True))
    offsets = []
    for token in prompt:
        offsets.append(len(stream.text))
        stream.push(token)
    stream.finish()
    return Echo(
        stream.text,
        CompletionLogprobs(
            tokens=[tokenizer.name(token) for token in prompt],
            # nothing precedes the first token, so nothing can be said of it
            token_logprobs=[None, *found.logprobs],
            top_logprobs=[
                None,
                *(
                    by_name(tokenizer, token, logprob, top)
                    for token, logprob, top in zip(prompt[1:], found.logprobs, found.top, strict=True)
                ),
            ],
            text_offset=offsets,
        ),
    )


def joined(first: CompletionLogprobs | None, second: CompletionLogprobs | None) -> CompletionLogprobs | None:
    """The log-probabilities of a prompt and of what follows it, as one."""
    if first is None or second is None:
        return first or second
    return CompletionLogprobs(
        tokens=first.tokens + second.tokens,
        token_logprobs=first.token_logprobs + second.token_logprobs,
        top_logprobs=first.top_logprobs + second.top_logprobs,
        text_offset=first.text_offset + second.text_offset,
    )
