"""POST /v1/completions and GET /v1/models."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from gateway.pipeline.complete import Asked, allow, complete, stream
from gateway.pipeline.faults import ServiceUnavailable
from gateway.pipeline.options import MODELS, UnknownModel, require_model
from gateway.policy import AlwaysOn, UnknownOwner
from gateway.routes.dependencies import Connected
from gateway.routes.events import openai_events
from gateway.services import Services
from shared.contracts.candor import CompletionAnswer, CompletionOptions, CompletionRequest
from shared.contracts.openai import Model, ModelList
from shared.http.address import nothing_of
from shared.http.disconnect import until_gone
from shared.http.errors import InvalidRequest, Overloaded, openai_errors

router = APIRouter()

_STARTED = int(time.time())
_ERRORS = openai_errors(InvalidRequest, AlwaysOn, UnknownOwner, UnknownModel, Overloaded, ServiceUnavailable)


@router.post(
    "/v1/completions",
    response_model=CompletionAnswer,
    responses=_ERRORS,
    tags=["completions"],
    dependencies=[Depends(nothing_of(CompletionOptions))],
)
async def create_completion(
    body: CompletionRequest, request: Request, services: Connected
) -> CompletionAnswer | StreamingResponse:
    """Continue a text with the model alone: no passages, no vote, no trace; the experts of the effective owners."""

    async def answered() -> CompletionAnswer | StreamingResponse:
        asked = await allow(body, services)
        if body.stream:
            return await openai_events(request, _frames(asked, services))
        return await until_gone(request, complete(asked, services))

    return await services.served.current(answered)


@router.get("/v1/models", tags=["models"], response_model=ModelList)
async def list_models(services: Connected) -> ModelList:
    """The names that `model` may have: what each turns on."""
    length = (await services.served.now()).context
    return ModelList(data=[_model(name, length) for name in MODELS])


@router.get("/v1/models/{model:path}", tags=["models"], response_model=Model, responses=openai_errors(UnknownModel))
async def get_model(model: str, services: Connected) -> Model:
    """One of them."""
    require_model(model)
    return _model(model, (await services.served.now()).context)


def _model(name: str, length: int) -> Model:
    return Model(id=name, created=_STARTED, owned_by="candor", max_model_len=length)


async def _frames(asked: Asked, services: Services) -> AsyncGenerator[str]:
    async with aclosing(stream(asked, services)) as answers:
        async for chunk in answers:
            yield chunk.model_dump_json(exclude={"candor"} if chunk.candor is None else None)
