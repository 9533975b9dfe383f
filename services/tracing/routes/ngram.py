"""`/v1/ngram`: what the corpora say comes next."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from services.tracing.errors import BadTokens, OwnerNotPermitted, TextTooLong, UnknownCorpus
from services.tracing.routes.tracer import Service
from shared.contracts.ngram import Ngram, NgramRequest
from shared.http.errors import InvalidRequest, NotReady, problems

router = APIRouter(tags=["tracing"])


@router.post(
    "/v1/ngram",
    responses=problems(InvalidRequest, OwnerNotPermitted, UnknownCorpus, TextTooLong, BadTokens, NotReady),
)
async def ngram(body: NgramRequest, tracer: Service) -> Ngram:
    """Count the tokens that follow a text, after its longest end that occurs (infinity-gram) or after all of it."""
    return await run_in_threadpool(tracer.counter.next, body)
