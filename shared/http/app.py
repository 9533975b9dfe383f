"""The app factory: what every Candor app has beside its own routes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from shared.http.body_limit import BodyLimitMiddleware
from shared.http.errors import install_errors
from shared.http.health import Readiness, health_router
from shared.http.metrics import MetricsMiddleware, metrics_router
from shared.http.request_id import RequestIdMiddleware
from shared.http.stopping import StoppingMiddleware
from shared.telemetry import configure_logs

Lifespan = Callable[[FastAPI, Readiness], AbstractAsyncContextManager[None]]


def create_app(
    title: str,
    routers: Sequence[APIRouter],
    lifespan: Lifespan,
    *,
    description: str = "",
    version: str = "0.1.0",
    health: APIRouter | None = None,
    uploads: Mapping[str, int] | None = None,
) -> FastAPI:
    """An app with Candor's errors, request ids, `/livez`, `/readyz`, `/health` and `/metrics`.

    `lifespan(app, readiness)` puts the service on `app.state` and must return at once: what takes long
    (models, indexes) it loads in a task or thread that ends with `readiness.done()`, so that the port is
    bound, and /readyz answers with the phase, while it loads. `health` takes the place of the health routes of
    an app that is ready only when others are too; it finds the readiness on `app.state`. `uploads`: beginnings of
    paths whose bodies are read as a stream, and how many bytes those may have.
    """
    configure_logs()
    readiness = Readiness()

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app, readiness):
            yield

    app = FastAPI(
        title=title,
        description=description,
        version=version,
        lifespan=run,
        generate_unique_id_function=_operation,
    )
    app.state.readiness = readiness
    for router in [*routers, health or health_router(readiness), metrics_router()]:
        app.include_router(router)
    install_errors(app)
    app.add_middleware(BodyLimitMiddleware, uploads=uploads or {})
    app.add_middleware(StoppingMiddleware)
    app.add_middleware(MetricsMiddleware)
    app.add_middleware(RequestIdMiddleware)
    return app


def _operation(route: APIRoute) -> str:
    """The handler's own name: unique in an app, and what a generated client calls the method."""
    return route.name
