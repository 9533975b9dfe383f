"""The model service as an app: bound at once, ready when the model is loaded."""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import FastAPI

from services.model.experts import Experts
from services.model.folder import ExpertFolder
from services.model.protected import ProtectedTexts
from services.model.roster import Roster
from services.model.routes import chat, completions, experts, models, routing, score, tokens
from services.model.service import ModelService
from services.model.settings import ModelSettings
from shared.http.app import create_app as candor_app
from shared.http.health import Readiness
from shared.settings import candor_home

_log = structlog.get_logger()


def create_app(settings: ModelSettings | None = None) -> FastAPI:
    """The app; settings come from the environment unless given."""
    chosen = settings or ModelSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI, readiness: Readiness) -> AsyncIterator[None]:
        app.state.service = None
        stopping = threading.Event()
        loading = asyncio.create_task(_load(app, readiness, chosen, stopping))
        try:
            yield
        finally:
            stopping.set()
            await asyncio.gather(loading, return_exceptions=True)
            if app.state.service is not None:
                await asyncio.to_thread(app.state.service.engine.close)

    modules = (chat, completions, models, experts, score, routing, tokens)
    routers = [module.router for module in modules]
    description = "Generation, scores and routing under per-request masks of experts."
    uploads = {experts.PATH: chosen.max_expert_megabytes << 20}
    return candor_app("Candor model service", routers, lifespan, description=description, uploads=uploads)


async def _load(app: FastAPI, readiness: Readiness, settings: ModelSettings, stopping: threading.Event) -> None:
    try:
        service = await asyncio.to_thread(_loaded, readiness, settings, stopping)
        folder = ExpertFolder(settings.experts or candor_home() / "experts")
        roster = Roster(service, folder, lambda changed: setattr(app.state, "service", changed))
        readiness.enter("adding and removing experts")
        try:
            # before anyone is served: who left before the restart must not be there for a moment after it
            readiness.warnings += await asyncio.to_thread(roster.restore)
        except BaseException:
            await asyncio.to_thread(service.engine.close)
            raise
        app.state.roster, app.state.service = roster, roster.service
        readiness.done()
    except Exception as error:
        _log.exception("the model could not be loaded")
        readiness.failed(f"the model could not be loaded: {error}")


def _loaded(readiness: Readiness, settings: ModelSettings, stopping: threading.Event) -> ModelService:
    readiness.enter("importing torch")
    # not at the top: it takes seconds, and the port is to be bound before
    loading = importlib.import_module("services.model.engines.loading")
    directory = settings.directory
    if directory is None:
        readiness.enter("building the model from its experts")
        directory = loading.embedded_model(candor_home())
    readiness.enter("loading the model")

    def notice(trouble: str | None) -> None:
        if trouble is None:
            readiness.done()
        else:
            readiness.enter(trouble)

    engine, tokenizer = loading.load(directory, settings, notice, stopping)
    experts = Experts.of(directory, engine.info.experts)
    protected = ProtectedTexts(candor_home() / "texts", partial(tokenizer.encode, special=False))
    return ModelService(engine, tokenizer, experts, settings, protected, started=int(time.time()))
