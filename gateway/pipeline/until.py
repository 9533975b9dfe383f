"""The samples of one batch as they end, until enough of them have: the others are aborted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from gateway.pipeline.ask import Ask
from gateway.pipeline.generate import FORCED_AT_ONCE, finished
from gateway.pipeline.sample import Draft, Samples, check_mask
from gateway.policy import Consent
from shared.clients.base import ServiceError
from shared.clients.model import ModelClient
from shared.contracts.model import EndedDetail, SampleDetail
from shared.contracts.openai import ChunkChoice

Enough = Callable[[int, Draft], Awaitable[bool]]
"""Given a sample that has ended, and its number: whether the answer is decided. Called for several at once."""

Arrival = tuple[int, Draft]
"""The number of a sample, and the sample."""


async def until(enough: Enough, ask: Ask, consent: Consent, client: ModelClient) -> Samples:
    """The samples that had ended when there were enough. Raises ServiceError, ConsentNotApplied."""
    return await _Batch(enough, ask, consent, client).samples()


class _Batch:
    def __init__(self, enough: Enough, ask: Ask, consent: Consent, client: ModelClient) -> None:
        self._enough, self._ask, self._consent, self._client = enough, ask, consent, client
        self._generated = [0] * ask.request.n
        self._drafts: dict[int, Draft] = {}
        self._prompt_tokens = 0
        self._turns = asyncio.Semaphore(FORCED_AT_ONCE)

    async def samples(self) -> Samples:
        """Closing the stream, and cancelling the second calls, aborts what still runs."""
        decided = False
        ending: set[asyncio.Task[bool]] = set()
        async with aclosing(self._arrivals()) as arrivals:
            next_one = asyncio.create_task(_next(arrivals))
            try:
                running = True
                while not decided and (running or ending):
                    waiting = {*ending, next_one} if running else {*ending}
                    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    if running and next_one in done:
                        if (arrived := next_one.result()) is None:
                            running = False
                        else:
                            # all of one step, so that none is taken for aborted that has ended with the last it took
                            ending |= {asyncio.create_task(self._end(*one)) for one in arrived}
                            next_one = asyncio.create_task(_next(arrivals))
                    over = {task for task in ending if task.done()}
                    ending -= over
                    # of every one that is over, so that no fault is missed
                    results = [task.result() for task in over]
                    decided = any(results)
            finally:
                for task in (next_one, *ending):
                    task.cancel()
                await asyncio.gather(next_one, *ending, return_exceptions=True)
        left = [index for index in range(self._ask.request.n) if index not in self._drafts]
        if left and not decided:
            raise ServiceError("model", "the stream ended without all samples")
        drafts = tuple(draft for _, draft in sorted(self._drafts.items()))
        aborted = tuple(self._generated[index] for index in left)
        return Samples(drafts, self._prompt_tokens, decided=decided, aborted=aborted, budget=self._ask.budget)

    async def _end(self, index: int, draft: Draft) -> bool:
        draft = await finished(draft, self._ask, self._consent, self._client, self._turns)
        self._drafts[index] = draft
        return await self._enough(index, draft)

    async def _arrivals(self) -> AsyncGenerator[list[Arrival]]:
        """The samples as the model service sends them, those of one step together."""
        request = self._ask.request
        mask = request.candor.model_copy(update={"when_ended": True})
        streamed = request.model_copy(update={"stream": True, "candor": mask})
        try:
            async with self._client.stream_chat(streamed) as chunks:
                async for chunk in chunks:
                    ended = chunk.candor.ended if isinstance(chunk.candor, EndedDetail) else []
                    check_mask(self._consent, request.candor.experts, chunk.candor, ended)
                    if isinstance(chunk.candor, EndedDetail):
                        self._generated = chunk.candor.generated
                        self._prompt_tokens = chunk.usage.prompt_tokens if chunk.usage else 0
                        yield [
                            (choice.index, self._draft(choice, detail))
                            for choice, detail in zip(chunk.choices, ended, strict=True)
                        ]
        except ValueError as error:
            # an error where a chunk was due, or a chunk that contradicts itself
            raise ServiceError("model", "the stream broke off with an error") from error

    def _draft(self, choice: ChunkChoice, detail: SampleDetail) -> Draft:
        text, reason = choice.delta.content or "", choice.finish_reason or "length"
        return Draft.of(text, reason, detail, choice.logprobs, self._ask.splitter())


async def _next(arrivals: AsyncGenerator[list[Arrival]]) -> list[Arrival] | None:
    return await anext(arrivals, None)
