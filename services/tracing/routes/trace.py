"""`/v1/trace`, `/v1/count`, `/v1/find`: where a text stands."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from services.tracing.errors import BadTokens, OwnerNotPermitted, TextTooLong, UnknownCorpus
from services.tracing.routes.tracer import Service
from shared.contracts.tracing import (
    Count,
    CountBatch,
    CountList,
    CountRequest,
    Find,
    FindRequest,
    Trace,
    TraceBatch,
    TraceList,
    TraceRequest,
)
from shared.http.errors import InvalidRequest, NotReady, problems
from shared.http.trace_stream import OPENAPI, EventStream, trace_stream

router = APIRouter(tags=["tracing"])
_ERRORS = problems(InvalidRequest, OwnerNotPermitted, UnknownCorpus, TextTooLong, BadTokens, NotReady)


@router.post("/v1/trace", responses=_ERRORS)
async def trace(body: TraceRequest, tracer: Service) -> Trace:
    """Find where a text stands verbatim in the corpora of the permitted owners, by OLMoTrace.

    `start` and `end` are code points. Spans may overlap; none is contained in another. Relevance is to prompt and text.
    """
    return await run_in_threadpool(tracer.trace, body)


@router.post("/v1/count", responses=_ERRORS)
async def count(body: CountRequest, tracer: Service) -> Count:
    """Count a text, with or without a space before it, or exactly these tokens."""
    return await run_in_threadpool(tracer.counter.count, body)


@router.post("/v1/find", responses=_ERRORS)
async def find(body: FindRequest, tracer: Service) -> Find:
    """Occurrences of a text or of tokens, drawn with the seed when there are more than `limit`."""
    return await run_in_threadpool(tracer.counter.find, body)


@router.post("/v1/trace/batch", responses=_ERRORS)
async def trace_batch(body: TraceBatch, tracer: Service) -> TraceList:
    """The trace of each text, as /v1/trace gives it; one that cannot be traced fails the whole, and is named."""
    return await run_in_threadpool(tracer.traces, body)


@router.post("/v1/count/batch", responses=_ERRORS)
async def count_batch(body: CountBatch, tracer: Service) -> CountList:
    """The count of each item, as /v1/count gives it; one that cannot be counted fails the whole, and is named."""
    return await run_in_threadpool(tracer.counts, body)


@router.post("/v1/trace/stream", response_class=EventStream, responses=_ERRORS, openapi_extra=OPENAPI)
async def stream_trace(request: Request, tracer: Service) -> Response:
    """Trace a text while it is written: lines of JSON, {"text": piece} each, the first with the options of /v1/trace.

    Every complete sentence or line is told in an event `spans`, and at the end an event `trace` is /v1/trace's answer.
    """
    return await trace_stream(request, lambda body: run_in_threadpool(tracer.trace, body), tracer.max_characters)
