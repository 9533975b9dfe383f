"""The gateway's app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from gateway.ledger.database import connect, migrate
from gateway.ledger.store import Ledger
from gateway.pipeline.faults import unavailable
from gateway.policy import Policy
from gateway.routes import chat, completions, evaluation, health, home, ledger, model, ngram, owners, retrieval, tracing
from gateway.services import Services
from gateway.settings import GatewaySettings
from gateway.telemetry import RequestLog
from shared.clients.base import ServiceError
from shared.http.app import create_app as base_app
from shared.http.errors import render
from shared.http.health import Readiness
from shared.owners import load_owners

DESCRIPTION = (
    "Every answer says which owners' experts computed it, which passages it read, and where its words stand verbatim "
    "in the owners' text; any owner can be left out, per request, of all three."
)
_ROUTES = (chat, completions, owners, ledger, retrieval, tracing, ngram, model, evaluation, home)
_log = structlog.get_logger("candor.gateway")


def create_app(settings: GatewaySettings | None = None) -> FastAPI:
    """The gateway for these settings, by default the environment's. Raises BadRegistry."""
    configured = settings or GatewaySettings()
    policy = Policy(load_owners())

    @asynccontextmanager
    async def lifespan(app: FastAPI, readiness: Readiness) -> AsyncIterator[None]:
        starting = asyncio.create_task(_start(app, readiness, configured, policy))
        try:
            yield
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            services = getattr(app.state, "services", None)
            if services is not None:
                await services.close()

    routers = [module.router for module in _ROUTES]
    app = base_app("Candor", routers, lifespan, description=DESCRIPTION, health=health.router)

    app.add_middleware(RequestLog)

    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> JSONResponse:
        return render(request.url.path, unavailable(error))

    return app


async def _start(app: FastAPI, readiness: Readiness, settings: GatewaySettings, policy: Policy) -> None:
    """Bring the ledger up to date and connect the services; the port is bound meanwhile."""
    try:
        readiness.enter("migrating the ledger")
        await asyncio.to_thread(migrate, settings.database())
        app.state.services = Services.connect(settings, policy, Ledger(connect(settings.database())))
        readiness.done()
    except Exception as error:
        _log.exception("the gateway could not start")
        readiness.failed(f"{type(error).__name__}: {error}")
