"""What the routes need: the loaded service, and an end to work that nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from services.model.service import ModelService
from shared.http.errors import CandorError, NotReady

Result = TypeVar("Result")


class ClientGone(CandorError):
    """The client closed the connection; nobody will read this."""

    status, code = 499, "client_closed_request"


def _service(request: Request) -> ModelService:
    service: ModelService | None = request.app.state.service
    if service is None:
        raise NotReady(f"The model is not ready: {request.app.state.readiness.phase}.", retry_after=5)
    return service


Service = Annotated[ModelService, Depends(_service)]


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`, which is cancelled when the client goes away. Raises ClientGone."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone("The client closed the connection.")
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
