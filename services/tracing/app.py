"""The tracing service's app: `uvicorn --factory services.tracing.app:create_app`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI

from services.tracing.routes import corpora, documents, ngram, trace
from services.tracing.settings import TracingSettings
from shared.http import app as http
from shared.http.errors import NotReady
from shared.http.health import Readiness

if TYPE_CHECKING:
    from services.tracing.start import Started

_log = structlog.get_logger()


def create_app(settings: TracingSettings | None = None) -> FastAPI:
    """The app. It binds its port first; /readyz is 200 once the corpora are open and the search is compiled."""
    settings = settings or TracingSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI, readiness: Readiness) -> AsyncIterator[None]:
        loading = asyncio.create_task(_load(app, readiness, settings))
        yield
        await loading
        if changes := getattr(app.state, "changes", None):
            await asyncio.to_thread(changes.close)

    return http.create_app(
        "Candor tracing",
        [trace.router, ngram.router, corpora.router, documents.router],
        lifespan,
        description="Where a text stands verbatim in the corpora of data owners. All offsets are code points.",
    )


async def _load(app: FastAPI, readiness: Readiness, settings: TracingSettings) -> None:
    try:
        started = await asyncio.to_thread(_start, settings, readiness.enter)
    except Exception as error:
        _log.exception("the tracing service could not start")
        readiness.failed(str(error))
        return
    app.state.tracer, app.state.changes = started.tracer, started.changes
    readiness.warnings.extend(started.warnings)

    async def look() -> list[str]:
        """What is left out now; the service is not ready while nothing may be shown."""
        try:
            faults = await asyncio.to_thread(started.tracer.faults)
        except NotReady as error:
            readiness.enter(error.detail)
            return []
        if not readiness.ready:
            readiness.done()
        return faults

    readiness.look = look
    await look()


def _start(settings: TracingSettings, enter: Callable[[str], None]) -> Started:
    # by name and in a thread, since importing numba takes longer than the rest of the app
    enter("loading the tokenizer and the search")
    started: Started = import_module("services.tracing.start").start(settings, enter)
    return started
