"""The samples of one batch as they end, until enough of them have: the others are aborted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from pydantic import ValidationError

from gateway.pipeline.ask import Ask
from gateway.pipeline.generate import finished
from gateway.pipeline.sample import Draft, Samples, check_mask
from gateway.policy import Consent
from shared.clients.base import ServiceError
from shared.clients.model import ModelClient
from shared.contracts.model import EndedDetail

Enough = Callable[[int, Draft], Awaitable[bool]]
"""Given a sample that has ended, and its number: whether the answer is decided. Called for several at once."""


async def until(enough: Enough, ask: Ask, consent: Consent, client: ModelClient) -> Samples:
    """The samples that had ended when there were enough. Raises ServiceError, ConsentNotApplied."""
    return await _Batch(enough, ask, consent, client).samples()


class _Batch:
    def __init__(self, enough: Enough, ask: Ask, consent: Consent, client: ModelClient) -> None:
        self._enough, self._ask, self._consent, self._client = enough, ask, consent, client
        self._generated = [0] * ask.request.n
        self._drafts: dict[int, Draft] = {}
        self._prompt_tokens = 0

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
                            ending.add(asyncio.create_task(self._end(*arrived)))
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
        return Samples(drafts, self._prompt_tokens, aborted=aborted, budget=self._ask.budget)

    async def _end(self, index: int, draft: Draft) -> bool:
        draft = await finished(draft, self._ask, self._consent, self._client)
        self._drafts[index] = draft
        return await self._enough(index, draft)

    async def _arrivals(self) -> AsyncGenerator[tuple[int, Draft]]:
        """The samples as the model service sends them."""
        request = self._ask.request
        mask = request.candor.model_copy(update={"when_ended": True})
        streamed = request.model_copy(update={"stream": True, "candor": mask})
        begun = False
        try:
            async with self._client.stream_chat(streamed) as chunks:
                async for chunk in chunks:
                    if not begun or chunk.candor is not None:
                        details = [chunk.candor.sample] if isinstance(chunk.candor, EndedDetail) else []
                        check_mask(self._consent, request.candor.experts, chunk.candor, details)
                        begun = True
                    if isinstance(chunk.candor, EndedDetail):
                        (choice,) = chunk.choices
                        self._generated = chunk.candor.generated
                        self._prompt_tokens = chunk.usage.prompt_tokens if chunk.usage else 0
                        reason = choice.finish_reason or "stop"
                        yield (
                            choice.index,
                            Draft.of(
                                choice.delta.content or "",
                                reason,
                                chunk.candor.sample,
                                choice.logprobs,
                                self._ask.splitter(),
                            ),
                        )
        except ValidationError as error:
            raise ServiceError("model", "the stream broke off with an error") from error


async def _next(arrivals: AsyncGenerator[tuple[int, Draft]]) -> tuple[int, Draft] | None:
    return await anext(arrivals, None)
