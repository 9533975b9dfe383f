"""What the routes depend on: the loaded service, and the threads it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from services.retrieval.workers import Workers
from shared.http.errors import NotReady

if TYPE_CHECKING:
    from services.retrieval.service import Retrieval
else:
    # FastAPI needs no class behind a dependency, and importing this one would import faiss with the routes
    Retrieval = object


def _service(request: Request) -> Retrieval:
    service: Retrieval | None = getattr(request.app.state, "service", None)
    if service is None:
        raise NotReady(f"The retrieval service is not ready: {request.app.state.readiness.phase}.", retry_after=1)
    return service


def _threads(request: Request) -> Workers:
    workers: Workers = request.app.state.workers
    return workers


Service = Annotated[Retrieval, Depends(_service)]
Threads = Annotated[Workers, Depends(_threads)]
