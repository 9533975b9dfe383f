"""The evaluation service's resources."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from gateway.pipeline.faults import ServiceUnavailable
from gateway.routes.dependencies import After, Connected, Limit
from gateway.services import Services
from shared.contracts.evaluation import (
    ItemList,
    ItemPage,
    Report,
    ReportFormat,
    RescoreRequest,
    Run,
    RunList,
    RunRequest,
    RunsCompared,
    SuiteList,
)
from shared.http.errors import InvalidRequest, NotFound, problems

router = APIRouter(tags=["evaluation"])

_ERRORS = problems(NotFound, ServiceUnavailable)
_TEXTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/markdown": {}, "text/html": {}}}}

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]

Runs = Annotated[list[str], Query(description="Ids of the runs; the others are compared with the first.")]


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
    idempotency_key: Key = None,
) -> Run:
    """Start a run; it goes on when a process dies. The same `Idempotency-Key` gives the same run again."""
    run = await services.evaluation.create(body, idempotency_key)
    response.headers["Location"] = f"/v1/evaluations/{run.id}"
    return run


@router.get("/v1/evaluations", response_model=RunList, responses=_ERRORS)
async def list_evaluations(services: Connected, after: After = None, limit: Limit = 20) -> RunList:
    """Runs, newest first."""
    return await services.evaluation.runs(after=after, limit=limit)


@router.get(
    "/v1/evaluations/compare",
    response_model=RunsCompared,
    responses={**_TEXTS, **problems(InvalidRequest, NotFound, ServiceUnavailable)},
)
async def compare_evaluations(
    services: Connected, runs: Runs, format: ReportFormat = "json"
) -> RunsCompared | Response:
    """Every run against the first: differences over the questions that both asked, corrected for their number."""
    if format == "json":
        return await services.evaluation.compare(runs)
    return await _passed_on(services, services.evaluation.compared_as(runs, format))


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


@router.post("/v1/evaluations/{run}/rescore", response_model=Run, status_code=202, responses=_ERRORS)
async def rescore_evaluation(
    run: str,
    body: RescoreRequest,
    response: Response,
    services: Connected,
    idempotency_key: Key = None,
) -> Run:
    """Score the answers of a run that has ended again, as a new run: nothing is asked a second time."""
    queued = await services.evaluation.rescore(run, body, idempotency_key)
    response.headers["Location"] = f"/v1/evaluations/{queued.id}"
    return queued


@router.get("/v1/evaluations/{run}/report", response_model=Report, responses={**_TEXTS, **_ERRORS})
async def get_evaluation_report(run: str, services: Connected, format: ReportFormat = "json") -> Report | Response:
    """Scores with intervals, and paired comparisons of the settings; `html` is a page with plots and every item."""
    if format == "json":
        return await services.evaluation.report(run)
    return await _passed_on(services, services.evaluation.report_as(run, format))


@router.get("/v1/evaluations/{run}/events", response_class=StreamingResponse, responses=_ERRORS)
async def stream_evaluation_events(
    run: str, services: Connected, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """A run's progress as server-sent events, resumed after `Last-Event-ID`."""
    return await _passed_on(services, services.evaluation.events(run, last_event_id))


async def _passed_on(services: Services, opening: AbstractAsyncContextManager[httpx.Response]) -> StreamingResponse:
    """The service's answer as it comes. Raises ServiceError for an error and for none at all."""
    stack = AsyncExitStack()
    try:
        upstream = await stack.enter_async_context(services.evaluation.pieces(opening))
    except BaseException:
        await stack.aclose()
        raise
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_parts(stack, upstream), media_type=upstream.headers["content-type"], headers=headers)


async def _parts(stack: AsyncExitStack, upstream: httpx.Response) -> AsyncIterator[bytes]:
    async with stack:
        async for part in upstream.aiter_raw():
            yield part
