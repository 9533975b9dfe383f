"""`/v1/evaluations`: runs, their items, events and reports."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from services.evaluation.errors import (
    AlreadyFinished,
    BadMetric,
    BadOption,
    BadPlan,
    KeyReused,
    MissingData,
    NotComparable,
    NotFinished,
    OnlyOfAStack,
    SuiteFailed,
    UnknownEndpoint,
    UnknownItem,
    UnknownRun,
    UnknownSuite,
)
from services.evaluation.routes.service import Service
from services.evaluation.table import compared_markdown, markdown
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
)
from shared.http.errors import NotReady, problems
from shared.http.sse import sse

router = APIRouter(prefix="/v1/evaluations", tags=["evaluation"])

_GREATEST = 2**63 - 1
"""Number that a database can be asked about."""

_TEXTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/markdown": {}, "text/html": {}}}}

Runs = Annotated[list[str], Query(description="Ids of the runs; the others are compared with the first.")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


@router.post(
    "",
    status_code=202,
    responses=problems(
        UnknownSuite, UnknownEndpoint, OnlyOfAStack, BadOption, BadPlan, MissingData, KeyReused, SuiteFailed, NotReady
    ),
)
async def create_evaluation(body: RunRequest, service: Service, response: Response, idempotency_key: Key = None) -> Run:
    """Queue a run. Repeated with the same Idempotency-Key, it gives the run that was made the first time."""
    run = await service.create(body, idempotency_key)
    response.headers["Location"] = f"/v1/evaluations/{run.id}"
    return run


@router.get("", responses=problems(UnknownRun, NotReady))
async def list_evaluations(
    service: Service, after: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> RunList:
    """Runs, newest first. The next page: `after` = `last_id`."""
    return await service.runs(after=after, limit=limit)


@router.get(
    "/compare", response_model=RunsCompared, responses={**_TEXTS, **problems(UnknownRun, NotComparable, NotReady)}
)
async def compare_evaluations(service: Service, runs: Runs, format: ReportFormat = "json") -> RunsCompared | Response:
    """Every run against the first: differences over the questions that both asked, corrected for their number."""
    if format == "html":
        return StreamingResponse(await service.compared_page(runs), media_type="text/html")
    compared = await service.compare(runs)
    return compared if format == "json" else PlainTextResponse(compared_markdown(compared), media_type="text/markdown")


@router.get("/{run}", responses=problems(UnknownRun, NotReady))
async def get_evaluation(run: str, service: Service) -> Run:
    """A run and its progress."""
    return await service.run(run)


@router.get("/{run}/items", responses=problems(UnknownRun, UnknownItem, NotReady))
async def list_items(run: str, service: Service, page: Annotated[ItemPage, Query()]) -> ItemList:
    """The items of a run in order: prompt, output, scores, error. The next page: `after` = `last_id`."""
    return await service.items(run, page)


@router.get(
    "/{run}/report",
    response_model=Report,
    responses={**_TEXTS, **problems(UnknownRun, NotReady)},
)
async def get_report(run: str, service: Service, format: ReportFormat = "json") -> Report | Response:
    """Scores with 95% intervals and paired comparisons; of an unfinished run, of the items done so far.

    `html` is a page that needs nothing else, with plots and every item.
    """
    if format == "html":
        return StreamingResponse(await service.page(run), media_type="text/html")
    report = await service.report(run)
    return report if format == "json" else PlainTextResponse(markdown(report), media_type="text/markdown")


@router.get(
    "/{run}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **problems(UnknownRun, NotReady)},
)
async def follow_evaluation(
    run: str, service: Service, last_event_id: Annotated[int, Header(alias="Last-Event-ID", ge=0, le=_GREATEST)] = 0
) -> StreamingResponse:
    """Server-sent events until the run ends: `run` (a Run, on each new status) and `item` (an ItemFinished).

    Ids count from 1; with `Last-Event-ID` only later events are sent.
    """
    await service.run(run)
    return sse(service.events(run, after=last_event_id))


@router.post("/{run}/cancel", responses=problems(UnknownRun, AlreadyFinished, NotReady))
async def cancel_evaluation(run: str, service: Service) -> Run:
    """Stop a run; requests under way are dropped. Cancelling it again changes nothing."""
    return await service.cancel(run)


@router.post(
    "/{run}/rescore",
    status_code=202,
    responses=problems(UnknownRun, UnknownSuite, BadMetric, NotFinished, KeyReused, NotReady),
)
async def rescore_evaluation(
    run: str, body: RescoreRequest, service: Service, response: Response, idempotency_key: Key = None
) -> Run:
    """Score the answers of a run that has ended again, as a new run: nothing is asked a second time."""
    queued = await service.rescore(run, body, idempotency_key)
    response.headers["Location"] = f"/v1/evaluations/{queued.id}"
    return queued
