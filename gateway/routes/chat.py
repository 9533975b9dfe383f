"""POST /v1/chat/completions: an answer with its sources."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from gateway.pipeline.answer import answer, start
from gateway.pipeline.faults import StageFailed
from gateway.pipeline.options import UnknownModel
from gateway.pipeline.prepare import Prepared, prepare
from gateway.pipeline.respond import completion, frame
from gateway.pipeline.run import Run
from gateway.pipeline.stream import chunks
from gateway.policy import AlwaysOn, UnknownOwner
from gateway.routes.dependencies import Connected
from gateway.routes.events import openai_events
from gateway.services import Services
from gateway.telemetry import log_answer
from shared.contracts.candor import CandorOptions, ChatAnswer, ChatRequest, Timings
from shared.http.address import nothing_of
from shared.http.disconnect import until_gone
from shared.http.errors import InvalidRequest, Overloaded, openai_errors

router = APIRouter(tags=["chat"])

ERRORS = openai_errors(InvalidRequest, AlwaysOn, UnknownOwner, UnknownModel, Overloaded, StageFailed)


@router.post(
    "/v1/chat/completions",
    response_model=ChatAnswer,
    responses=ERRORS,
    dependencies=[Depends(nothing_of(CandorOptions))],
)
async def create_chat_completion(
    body: ChatRequest, request: Request, response: Response, services: Connected
) -> ChatAnswer | StreamingResponse:
    """Answer the last question of a conversation, and say whose data took part.

    With `stream` the chunks come as server-sent events; the last one carries the `candor` report.
    """
    base_url = str(request.base_url)
    if body.stream:

        async def begun() -> StreamingResponse:
            run = start(body)
            prepared = await until_gone(request, prepare(body, services, run))
            return await openai_events(request, _frames(prepared, services, run, base_url))

        return await services.served.current(begun)
    answered = await until_gone(request, services.served.current(lambda: answer(body, services)))
    log_answer(body.model, answered.report)
    response.headers["Server-Timing"] = server_timing(answered.report.timings)
    return completion(answered, base_url)


def server_timing(timings: Timings) -> str:
    """The stages in the header's form, in milliseconds."""
    return ", ".join(f"{stage};dur={spent:g}" for stage, spent in timings.model_dump().items())


async def _frames(prepared: Prepared, services: Services, run: Run, base_url: str) -> AsyncGenerator[str]:
    async with aclosing(chunks(prepared, services, run, base_url)) as answers:
        async for chunk in answers:
            yield frame(chunk)
            if chunk.candor is not None:
                log_answer(prepared.chat.model, chunk.candor)
