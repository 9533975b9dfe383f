"""The evaluation service's app: `uvicorn --factory services.evaluation.app:create_app`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

import structlog
from fastapi import FastAPI

from services.evaluation.endpoints import Endpoints
from services.evaluation.routes import runs, suites
from services.evaluation.service import Evaluations
from services.evaluation.settings import EvaluationSettings
from services.evaluation.store.database import open_database
from services.evaluation.store.runs import Store
from services.evaluation.suites.registry import SUITES
from shared.http import app as http
from shared.http.health import Readiness
from shared.settings import candor_home

_log = structlog.get_logger()


def create_app(settings: EvaluationSettings | None = None) -> FastAPI:
    """The app. It binds its port first; /readyz is 200 once the database is open and old runs are taken up."""
    settings = settings or EvaluationSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI, readiness: Readiness) -> AsyncIterator[None]:
        opening = asyncio.create_task(_open(app, readiness, settings))
        yield
        await opening
        if (service := getattr(app.state, "evaluations", None)) is not None:
            await asyncio.to_thread(service.close)

    return http.create_app(
        "Candor evaluation",
        [runs.router, suites.router],
        lifespan,
        description="Durable evaluation runs: suites of questions, asked of an OpenAI-compatible endpoint.",
    )


async def _open(app: FastAPI, readiness: Readiness, settings: EvaluationSettings) -> None:
    readiness.enter("opening the database")
    try:
        app.state.evaluations = await asyncio.to_thread(_start, settings)
    except Exception as error:
        _log.exception("the evaluation service could not start")
        readiness.failed(f"{type(error).__name__}: {error}")
    else:
        readiness.done()


def _start(settings: EvaluationSettings) -> Evaluations:
    """In a thread: DBOS must not find an event loop, or it would run its workflows in the one that serves."""
    store = Store(open_database(settings.database()))
    # by name, since importing DBOS takes longer than the rest of the app, and the port is to be bound first
    jobs = import_module("services.evaluation.jobs").Jobs(settings, store)
    jobs.start()
    return Evaluations(store, jobs, SUITES, Endpoints(settings), candor_home())
