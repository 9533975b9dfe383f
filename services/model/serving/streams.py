"""From the engine's thread to the event loop: generations as asynchronous streams that cancel what nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Self

from services.model.engines.base import Delta, Engine, EngineBusy, EngineFailed, ExpertGone, Generation, Unsupported
from services.model.errors import ExpertRemoved
from shared.http.errors import CandorError, Overloaded

RETRY_SECONDS = 2


class GenerationFailed(CandorError):
    """The engine could not finish a request."""

    status, code = 500, "generation_failed"


class NotServed(CandorError):
    """The engine that serves the model cannot do this; another one can."""

    status, code = 501, "not_served"


def failure(error: EngineFailed) -> CandorError:
    """What the engine's failure is to the client."""
    if isinstance(error, EngineBusy):
        return Overloaded(f"The model is busy: {error}.", retry_after=RETRY_SECONDS)
    if isinstance(error, ExpertGone):
        return ExpertRemoved()
    if isinstance(error, Unsupported):
        return NotServed(f"This engine does not do it: {error}.")
    return GenerationFailed(f"The model failed: {error}.")


class Generations:
    """Some prompts being generated; as a context, it ends all of their samples when it is left.

    Iterate once. One that nobody ever enters (a client that left before its stream began) ends when collected.
    """

    def __init__(self, engine: Engine, requests: Sequence[Generation]) -> None:
        """Queue all of them at once, or none. Raises Overloaded when the queue is full, ExpertRemoved."""
        self._outcomes: asyncio.Queue[tuple[int, list[Delta] | EngineFailed]] = asyncio.Queue()
        self._left = sum(request.n for request in requests)
        self._cancels: list[Callable[[], None]] = []
        try:
            for place, request in enumerate(requests):
                self._cancels.append(engine.submit(request, self._receiver(place)))
        except EngineFailed as error:
            self.cancel()
            raise failure(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def __del__(self) -> None:
        self.cancel()

    async def __aiter__(self) -> AsyncGenerator[tuple[int, list[Delta]]]:
        """(the place of the prompt, what a step adds to its samples).

        Raises Overloaded, GenerationFailed, ExpertRemoved.
        """
        while self._left:
            place, outcome = await self._outcomes.get()
            if isinstance(outcome, EngineFailed):
                raise failure(outcome)
            self._left -= sum(delta.finish is not None for delta in outcome)
            yield place, outcome

    def cancel(self) -> None:
        """Let the engine drop what is left."""
        for cancel in self._cancels:
            cancel()

    def _receiver(self, place: int) -> Callable[[list[Delta] | EngineFailed], None]:
        # not `self`: the engine would keep alive what is to be cancelled when nobody else does
        loop, outcomes = asyncio.get_running_loop(), self._outcomes

        def receive(outcome: list[Delta] | EngineFailed) -> None:
            loop.call_soon_threadsafe(outcomes.put_nowait, (place, outcome))

        return receive
