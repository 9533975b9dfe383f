"""What the owners' corpora say comes next, for the owners that the client may use."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.pipeline.faults import ServiceUnavailable
from gateway.policy import UnknownOwner
from gateway.routes.dependencies import Connected
from shared.contracts.ngram import Ngram, NgramRequest
from shared.http.errors import InvalidRequest, problems

router = APIRouter(tags=["tracing"])


@router.post("/v1/ngram", response_model=Ngram, responses=problems(InvalidRequest, UnknownOwner, ServiceUnavailable))
async def ngram(body: NgramRequest, services: Connected) -> Ngram:
    """Count the tokens that follow a text, after its longest end that occurs (infinity-gram) or after all of it."""
    consent = services.policy.named(body.owners)
    found = await services.tracing.ngram(consent.limited(body))
    consent.check("tracing", found.owners)
    return found
