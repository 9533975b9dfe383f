"""What the routes depend on: the loaded service, and the threads it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from services.retrieval.workers import Workers
from shared.http.errors import NotReady

if TYPE_CHECKING:
    from services.retrieval.changes import Changes
    from services.retrieval.language.assisted import Assistant
    from services.retrieval.service import Retrieval
else:
    # FastAPI needs no class behind a dependency, and importing these would import faiss with the routes
    Assistant = Changes = Retrieval = object


async def _service(request: Request) -> Retrieval:
    service: Retrieval | None = getattr(request.app.state, "service", None)
    if service is None:
        raise NotReady(f"The retrieval service is not ready: {request.app.state.readiness.phase}.", retry_after=1)
    return service


async def _changes(request: Request) -> Changes:
    await _service(request)
    changes: Changes = request.app.state.changes
    return changes


async def _assistant(request: Request) -> Assistant:
    await _service(request)
    assistant: Assistant = request.app.state.assistant
    return assistant


async def _threads(request: Request) -> Workers:
    workers: Workers = request.app.state.workers
    return workers


Service = Annotated[Retrieval, Depends(_service)]
Changing = Annotated[Changes, Depends(_changes)]
Assisting = Annotated[Assistant, Depends(_assistant)]
Threads = Annotated[Workers, Depends(_threads)]
