"""How a route gets the service."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from services.evaluation.service import Evaluations
from shared.http.errors import NotReady


async def _evaluations(request: Request) -> Evaluations:
    service = getattr(request.app.state, "evaluations", None)
    if not isinstance(service, Evaluations):
        raise NotReady(f"The evaluation service is not ready: {request.app.state.readiness.phase}.", retry_after=1)
    return service


Service = Annotated[Evaluations, Depends(_evaluations)]
