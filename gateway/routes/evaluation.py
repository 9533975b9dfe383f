"""The evaluation service's resources."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated

import httpx
from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from gateway.pipeline.faults import ServiceUnavailable
from gateway.routes.dependencies import After, Connected, Limit
from shared.clients.base import ServiceError
from shared.contracts.evaluation import ItemList, ItemPage, Report, Run, RunList, RunRequest, SuiteList
from shared.http.errors import InvalidRequest, NotFound, problems

router = APIRouter(tags=["evaluation"])

_ERRORS = problems(NotFound, ServiceUnavailable)


@router.get("/v1/suites", response_model=SuiteList, responses=problems(ServiceUnavailable))
async def list_suites(services: Connected) -> SuiteList:
    """What can be measured."""
    return await services.evaluation.suites()


@router.post(
    "/v1/evaluations",
    response_model=Run,
    status_code=202,
    responses=problems(InvalidRequest, NotFound, ServiceUnavailable),
)
async def create_evaluation(
    body: RunRequest,
    response: Response,
    services: Connected,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Run:
    """Start a run; it goes on when a process dies. The same `Idempotency-Key` gives the same run again."""
    run = await services.evaluation.create(body, idempotency_key)
    response.headers["Location"] = f"/v1/evaluations/{run.id}"
    return run


@router.get("/v1/evaluations", response_model=RunList, responses=_ERRORS)
async def list_evaluations(services: Connected, after: After = None, limit: Limit = 20) -> RunList:
    """Runs, newest first."""
    return await services.evaluation.runs(after=after, limit=limit)


@router.get("/v1/evaluations/{run}", response_model=Run, responses=_ERRORS)
async def get_evaluation(run: str, services: Connected) -> Run:
    """A run and its progress."""
    return await services.evaluation.run(run)


@router.post("/v1/evaluations/{run}/cancel", response_model=Run, responses=_ERRORS)
async def cancel_evaluation(run: str, services: Connected) -> Run:
    """Stop a run after the items under way."""
    return await services.evaluation.cancel(run)


@router.get("/v1/evaluations/{run}/items", response_model=ItemList, responses=_ERRORS)
async def list_evaluation_items(run: str, services: Connected, page: Annotated[ItemPage, Query()]) -> ItemList:
    """The questions of a run with what was answered and scored."""
    return await services.evaluation.items(run, page)


@router.get("/v1/evaluations/{run}/report", response_model=Report, responses=_ERRORS)
async def get_evaluation_report(run: str, services: Connected) -> Report:
    """Scores with intervals, and paired comparisons of the settings."""
    return await services.evaluation.report(run)


@router.get("/v1/evaluations/{run}/events", response_class=StreamingResponse, responses=_ERRORS)
async def stream_evaluation_events(
    run: str, services: Connected, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """A run's progress as server-sent events, resumed after `Last-Event-ID`."""
    stack = AsyncExitStack()
    try:
        upstream = await stack.enter_async_context(services.evaluation.events(run, last_event_id))
        if upstream.is_error:
            await upstream.aread()
            detail = upstream.json().get("detail") if "json" in upstream.headers.get("content-type", "") else None
            raise ServiceError("evaluation", detail or upstream.reason_phrase, status=upstream.status_code)
    except httpx.HTTPError as error:
        await stack.aclose()
        raise ServiceError("evaluation", f"no answer ({type(error).__name__})") from error
    except BaseException:
        await stack.aclose()
        raise
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_passed_on(stack, upstream), media_type="text/event-stream", headers=headers)


async def _passed_on(stack: AsyncExitStack, upstream: httpx.Response) -> AsyncIterator[bytes]:
    async with stack:
        async for part in upstream.aiter_raw():
            yield part
