"""The retrieval service's app: `uvicorn --factory services.retrieval.app:create_app`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from threading import Event
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI

from services.retrieval.routes import datastores, documents, embeddings, massive_serve, rerank, search
from services.retrieval.settings import RetrievalSettings
from services.retrieval.workers import Workers
from shared.http import app as http
from shared.http.health import Readiness

if TYPE_CHECKING:
    from services.retrieval.start import Started

_log = structlog.get_logger()


def create_app(settings: RetrievalSettings | None = None) -> FastAPI:
    """The app. It binds its port first; /readyz is 200 once the datastores are open and the encoder is loaded."""
    chosen = settings or RetrievalSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI, readiness: Readiness) -> AsyncIterator[None]:
        app.state.workers = Workers(chosen.threads, chosen.queue)
        stop = Event()
        loading = asyncio.create_task(_load(app, readiness, chosen, stop))
        yield
        stop.set()
        await loading
        if assistant := getattr(app.state, "assistant", None):
            await assistant.close()
        if changes := getattr(app.state, "changes", None):
            await asyncio.to_thread(changes.close)
        await asyncio.to_thread(app.state.workers.close)

    return http.create_app(
        "Candor retrieval",
        [search.router, datastores.router, documents.router, embeddings.router, massive_serve.router, rerank.router],
        lifespan,
        description="Passages of the owners a request permits. All offsets are code points.",
    )


async def _load(app: FastAPI, readiness: Readiness, settings: RetrievalSettings, stop: Event) -> None:
    try:
        started = await asyncio.to_thread(_start, settings, readiness.enter)
    except Exception as error:
        _log.exception("the retrieval service could not start")
        readiness.failed(str(error))
        return
    app.state.service, app.state.changes, app.state.assistant = started.service, started.changes, started.assistant
    readiness.warnings.extend(started.warnings)
    readiness.look = partial(asyncio.to_thread, started.left_out)
    readiness.done()
    try:
        await asyncio.to_thread(started.changes.resume)
        await asyncio.to_thread(started.check, stop)
    except Exception:
        _log.exception("the datastores could not be checked")


def _start(settings: RetrievalSettings, enter: Callable[[str], None]) -> Started:
    # by name and in a thread, since importing torch and faiss takes longer than the rest of the app
    enter("importing torch and faiss")
    started: Started = import_module("services.retrieval.start").start(settings, enter)
    return started
