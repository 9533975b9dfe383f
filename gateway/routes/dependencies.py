"""What the routes are given."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from gateway.services import Services
from shared.contracts.base import OwnerId
from shared.http.errors import NotReady


async def _services(request: Request) -> Services:
    services = getattr(request.app.state, "services", None)
    if not isinstance(services, Services):
        raise NotReady(f"The gateway is not ready: {request.app.state.readiness.phase}.", retry_after=1)
    return services


Connected = Annotated[Services, Depends(_services)]
"""The services of the app. Raises NotReady while it starts."""

OwnersQuery = Annotated[
    list[OwnerId] | None, Query(description="Only these owners (and public ones); every permitted one by default.")
]
After = Annotated[str | None, Query(description="The last id of the page before.")]
Limit = Annotated[int, Query(ge=1, le=100)]
