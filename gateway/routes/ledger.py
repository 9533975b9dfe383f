"""GET /v1/ledger and /v1/traces/{id}: what was kept of the answers."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.pipeline.faults import ServiceUnavailable
from gateway.pipeline.stored import still_shown
from gateway.routes.dependencies import After, Connected, Limit
from shared.contracts.gateway import LedgerPage, StoredTrace
from shared.http.errors import NotFound, problems

router = APIRouter(tags=["ledger"])


@router.get("/v1/ledger", response_model=LedgerPage, responses=problems(NotFound))
async def list_ledger(services: Connected, after: After = None, limit: Limit = 20) -> LedgerPage:
    """Who took part in each answer, newest first. What was asked is not recorded."""
    return await services.ledger.page(after=after, limit=limit)


@router.get("/v1/traces/{trace}", response_model=StoredTrace, responses=problems(NotFound, ServiceUnavailable))
async def get_trace(trace: str, services: Connected) -> StoredTrace:
    """An answer's text with the spans that stand verbatim in the corpora that were searched.

    Documents that were deleted or blocked since are not among those of a span any more.
    """
    stored = await services.ledger.trace(trace, {*services.policy.permitted()})
    return await still_shown(stored, services.tracing)
