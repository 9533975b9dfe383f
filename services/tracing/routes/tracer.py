"""How a route gets the tracer, once it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from shared.http.errors import NotReady

if TYPE_CHECKING:
    from services.tracing.changes import Changes
    from services.tracing.service import Tracer
else:
    # FastAPI needs no class behind a dependency, and importing these would import numba with the routes
    Changes = Tracer = object


async def _tracer(request: Request) -> Tracer:
    tracer: Tracer | None = getattr(request.app.state, "tracer", None)
    if tracer is None:
        raise NotReady(f"The tracing service is not ready: {request.app.state.readiness.phase}.", retry_after=1)
    return tracer


async def _changes(request: Request) -> Changes:
    changes: Changes | None = getattr(request.app.state, "changes", None)
    if changes is None:
        raise NotReady(f"The tracing service is not ready: {request.app.state.readiness.phase}.", retry_after=1)
    return changes


Service = Annotated[Tracer, Depends(_tracer)]
Changing = Annotated[Changes, Depends(_changes)]
