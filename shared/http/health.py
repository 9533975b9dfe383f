"""Liveness and readiness: the port is bound before anything loads, and /readyz says how far the loading is."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter, Response

from shared.contracts import base


@dataclass
class Readiness:
    """How far an app is. The lifespan moves it from phase to phase and ends with `done` or `failed`."""

    phase: str = "starting"
    ready: bool = False
    warnings: list[str] = field(default_factory=list)
    look: Callable[[], Awaitable[Sequence[str]]] | None = None
    """Warnings on what changes while the app runs: asked each time, and awaited, so that it may look in a thread."""
    patience: float = 1.0
    """Seconds that an answer waits for `look`; after them it has the warnings of the last look that ended. Clients of
    ours wait for 2."""
    _seen: Sequence[str] = ("it is not known yet what is left out: ask again",)
    _looking: asyncio.Future[Sequence[str]] | None = None

    async def current(self) -> list[str]:
        """All warnings there are now, as far as that is known."""
        return [*self.warnings, *(await self._look(self.look) if self.look else ())]

    async def _look(self, look: Callable[[], Awaitable[Sequence[str]]]) -> Sequence[str]:
        if self._looking is None or self._looking.done():  # one at a time, else those that hang would fill the threads
            self._looking = asyncio.ensure_future(look())
            self._looking.add_done_callback(self._keep)
        await asyncio.wait({self._looking}, timeout=self.patience)
        return self._seen

    def _keep(self, looked: asyncio.Future[Sequence[str]]) -> None:
        if not looked.cancelled():
            error = looked.exception()
            self._seen = [f"what is left out could not be looked at: {error}"] if error else looked.result()

    def enter(self, phase: str) -> None:
        """Not ready: this is what the app is doing now."""
        self.phase, self.ready = phase, False

    def done(self) -> None:
        """Ready to serve. What is loaded by now stays, and a full collection need not walk over it again, all requests
        waiting: with torch and an index loaded that takes a third of a second."""
        gc.collect()
        gc.freeze()
        self.phase, self.ready = "ready", True

    def failed(self, error: str) -> None:
        """Not ready, and will not be until someone acts: the phase says why."""
        self.phase, self.ready = f"failed: {error}", False


def health_router(readiness: Readiness) -> APIRouter:
    """`/livez`, `/readyz` and its alias `/health`."""
    router = APIRouter(tags=["health"])

    @router.get("/livez")
    async def livez() -> dict[str, bool]:
        """The process answers."""
        return {"live": True}

    async def answer(response: Response) -> base.Readiness:
        warnings = await readiness.current()  # first: what changes while the app runs may make it not ready
        response.status_code = 200 if readiness.ready else 503
        return base.Readiness(ready=readiness.ready, phase=readiness.phase, warnings=warnings)

    @router.get("/readyz", responses={503: {"model": base.Readiness}})
    async def readyz(response: Response) -> base.Readiness:
        """The service can answer; 503 with the phase until then."""
        return await answer(response)

    @router.get("/health", responses={503: {"model": base.Readiness}})
    async def health(response: Response) -> base.Readiness:
        """Alias of /readyz."""
        return await answer(response)

    return router
