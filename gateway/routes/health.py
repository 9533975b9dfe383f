"""The gateway's health: it is ready when every service is."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from gateway.services import Services
from shared.contracts.gateway import ServiceHealth, StackReadiness
from shared.http.health import Readiness

router = APIRouter(tags=["health"])

_NOT_YET: dict[int | str, dict[str, object]] = {503: {"model": StackReadiness}}


@router.get("/livez")
async def livez() -> dict[str, bool]:
    """The process answers."""
    return {"live": True}


@router.get("/readyz", response_model=StackReadiness, responses=_NOT_YET)
async def readyz(request: Request, response: Response) -> StackReadiness:
    """Every service can answer; 503 with the phase of each until then."""
    return await _readiness(request, response)


@router.get("/health", response_model=StackReadiness, responses=_NOT_YET)
async def health(request: Request, response: Response) -> StackReadiness:
    """Alias of /readyz."""
    return await _readiness(request, response)


async def _readiness(request: Request, response: Response) -> StackReadiness:
    own: Readiness = request.app.state.readiness
    services: Services | None = getattr(request.app.state, "services", None)
    found = await services.readiness() if services is not None else {}
    waiting = [f"{name}: {health.phase}" for name, health in found.items() if not health.ready]
    ready = own.ready and not waiting
    response.status_code = 200 if ready else 503
    return StackReadiness(
        ready=ready,
        phase="ready" if ready else "; ".join([*waiting, *([] if own.ready else [f"gateway: {own.phase}"])]),
        warnings=own.warnings,
        services={
            name: ServiceHealth(ready=health.ready, phase=health.phase, warnings=_counted(health.warnings))
            for name, health in found.items()
        },
    )


def _counted(warnings: Sequence[str]) -> list[str]:
    """How many there are: their texts name owners, whom not everyone who asks may know of."""
    many = f"{len(warnings)} warning{'s' if len(warnings) > 1 else ''}"
    return [f"{many}: GET /readyz of the service itself says what"] if warnings else []
