"""`/v1/evaluations`: runs, their items, events and reports."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from services.evaluation.errors import (
    AlreadyFinished,
    BadOption,
    KeyReused,
    MissingData,
    UnknownItem,
    UnknownRun,
    UnknownSuite,
)
from services.evaluation.routes.service import Service
from services.evaluation.table import markdown
from shared.contracts.evaluation import ItemList, ItemPage, Report, Run, RunList, RunRequest
from shared.http.errors import NotReady, problems
from shared.http.sse import sse

router = APIRouter(prefix="/v1/evaluations", tags=["evaluation"])

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


@router.post("", status_code=202, responses=problems(UnknownSuite, BadOption, MissingData, KeyReused, NotReady))
async def create_evaluation(body: RunRequest, service: Service, response: Response, idempotency_key: Key = None) -> Run:
    """Queue a run. Repeated with the same Idempotency-Key, it gives the run that was made the first time."""
    run = await service.create(body, idempotency_key)
    response.headers["Location"] = f"/v1/evaluations/{run.id}"
    return run


@router.get("", responses=problems(NotReady))
async def list_evaluations(
    service: Service, after: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> RunList:
    """Runs, newest first. The next page: `after` = `last_id`."""
    return await service.runs(after=after, limit=limit)


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
    responses={200: {"content": {"text/markdown": {}}}, **problems(UnknownRun, NotReady)},
)
async def get_report(
    run: str, service: Service, format: Literal["json", "markdown"] = "json"
) -> Report | PlainTextResponse:
    """Scores with 95% intervals and paired comparisons; of an unfinished run, of the items done so far."""
    report = await service.report(run)
    return report if format == "json" else PlainTextResponse(markdown(report), media_type="text/markdown")


@router.get(
    "/{run}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **problems(UnknownRun, NotReady)},
)
async def follow_evaluation(
    run: str, service: Service, last_event_id: Annotated[int, Header(alias="Last-Event-ID", ge=0)] = 0
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
