"""`/v1/corpora`: what can be searched, and the documents in it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from services.tracing.errors import BadTokens, OwnerNotPermitted, UnknownDocument
from services.tracing.routes.tracer import Service
from shared.contracts.base import OwnerId
from shared.contracts.tracing import CorpusDocument, CorpusList, Place
from shared.http.errors import InvalidRequest, NotReady, problems
from shared.http.identities import identity

router = APIRouter(tags=["tracing"])


@router.get("/v1/corpora", responses=problems(NotReady))
async def list_corpora(tracer: Service) -> CorpusList:
    """Every loaded corpus, and warnings on what had to be left out."""
    return await run_in_threadpool(tracer.corpora)


@router.get(
    f"/v1/corpora/{{corpus}}/documents/{identity('document')}",
    responses=problems(OwnerNotPermitted, UnknownDocument, InvalidRequest, BadTokens, NotReady),
)
async def get_document(
    corpus: str,
    document: str,
    tracer: Service,
    *,
    owners: Annotated[list[OwnerId] | None, Query()] = None,
    token: Annotated[int | None, Query(ge=0)] = None,
    tokens: Annotated[int, Query(ge=1)] = 1,
    context: Annotated[int, Query(ge=0, le=1000)] = 250,
) -> CorpusDocument:
    """A document's whole text, if it is one of these owners'; without `owners`, one of a public owner's.

    With `token` only the match that begins there and has so many `tokens`, and `context` tokens on either side of it.
    """
    if token is None:
        return await run_in_threadpool(tracer.document, corpus, document, owners)
    place = Place(token=token, tokens=tokens, context=context)
    return await run_in_threadpool(tracer.window, corpus, document, owners, place)
