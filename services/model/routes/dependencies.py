"""What the routes need: the loaded service."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from services.model.service import ModelService
from shared.http.errors import NotReady


async def _service(request: Request) -> ModelService:
    service: ModelService | None = request.app.state.service
    # it may also have been ready, and its engine be gone for a while
    if service is None or not request.app.state.readiness.ready:
        raise NotReady(f"The model is not ready: {request.app.state.readiness.phase}.", retry_after=5)
    return service


Service = Annotated[ModelService, Depends(_service)]
