"""The tracing service's resources, for the owners that the client may use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response

from gateway.pipeline.faults import ServiceUnavailable, unavailable
from gateway.pipeline.trace import CHARACTERS
from gateway.policy import Consent, UnknownOwner
from gateway.routes.dependencies import Connected, OwnersQuery
from shared.clients.base import ServiceError
from shared.contracts.tracing import (
    CorpusDocument,
    CorpusList,
    Count,
    CountBatch,
    CountList,
    CountRequest,
    Find,
    FindRequest,
    Place,
    Trace,
    TraceBatch,
    TraceList,
    TraceRequest,
)
from shared.http.errors import InvalidRequest, NotFound, problems
from shared.http.identities import identity
from shared.http.trace_stream import OPENAPI, EventStream, trace_stream

router = APIRouter(tags=["tracing"])

_ERRORS = problems(InvalidRequest, UnknownOwner, ServiceUnavailable)

Item = TypeVar("Item", TraceRequest, CountRequest)
Answers = TypeVar("Answers", TraceList, CountList)


@router.post("/v1/trace", response_model=Trace, responses=_ERRORS)
async def trace(body: TraceRequest, services: Connected) -> Trace:
    """Where a text stands verbatim in the corpora of the owners named, and of the public ones."""
    consent = services.policy.named(body.owners)
    found = await services.tracing.trace(consent.limited(body))
    consent.check("tracing", found.named())
    return found


@router.post("/v1/count", response_model=Count, responses=_ERRORS)
async def count(body: CountRequest, services: Connected) -> Count:
    """How often a text or a run of tokens occurs."""
    consent = services.policy.named(body.owners)
    found = await services.tracing.count(consent.limited(body))
    consent.check("tracing", found.named())
    return found


@router.post("/v1/trace/batch", response_model=TraceList, responses=_ERRORS)
async def trace_batch(body: TraceBatch, services: Connected) -> TraceList:
    """The trace of each text, for the owners that each item names."""
    consents = [services.policy.named(item.owners) for item in body.items]
    found = await services.tracing.traces(TraceBatch(items=_limited(body.items, consents)))
    return _checked(found, consents)


@router.post("/v1/count/batch", response_model=CountList, responses=_ERRORS)
async def count_batch(body: CountBatch, services: Connected) -> CountList:
    """The count of each item, for the owners that it names."""
    consents = [services.policy.named(item.owners) for item in body.items]
    found = await services.tracing.counts(CountBatch(items=_limited(body.items, consents)))
    return _checked(found, consents)


@router.post("/v1/trace/stream", response_class=EventStream, responses=_ERRORS, openapi_extra=OPENAPI)
async def stream_trace(request: Request, services: Connected) -> Response:
    """Trace a text while it is written: lines of JSON, {"text": piece} each, the first with the options of /v1/trace.

    Every complete sentence or line is told in an event `spans`, and at the end an event `trace` is /v1/trace's answer.
    """

    async def traced(body: TraceRequest) -> Trace:
        try:
            return await trace(body, services)
        except ServiceError as error:
            raise unavailable(error) from error

    return await trace_stream(request, traced, CHARACTERS)


@router.post("/v1/find", response_model=Find, responses=_ERRORS)
async def find(body: FindRequest, services: Connected) -> Find:
    """Occurrences of a text or a run of tokens, with the documents in which they stand."""
    consent = services.policy.named(body.owners)
    found = await services.tracing.find(consent.limited(body))
    consent.check("tracing", found.named())
    return found


@router.get("/v1/corpora", response_model=CorpusList, responses=problems(ServiceUnavailable))
async def list_corpora(services: Connected) -> CorpusList:
    """What can be searched verbatim: the owners' own text, not what the base model was pretrained on."""
    permitted = services.policy.permitted()
    found = await services.tracing.corpora()
    found.data = [corpus for corpus in found.data if corpus.owner in permitted]
    theirs = [corpus for owner in services.policy.owners if owner.id in permitted for corpus in owner.corpora]
    found.warnings = [warning for warning in found.warnings if warning.startswith(_about(theirs))]
    return found


@router.get(
    f"/v1/corpora/{{corpus}}/documents/{identity('document')}",
    response_model=CorpusDocument,
    responses=problems(NotFound, ServiceUnavailable),
)
async def get_corpus_document(
    corpus: str,
    services: Connected,
    *,
    document: str = Path(min_length=1),
    owners: OwnersQuery = None,
    token: Annotated[int | None, Query(ge=0)] = None,
    tokens: Annotated[int, Query(ge=1)] = 1,
    context: Annotated[int, Query(ge=0, le=1000)] = 250,
) -> CorpusDocument:
    """A whole document of an effective owner; another owner's is refused.

    With `token` only the match that begins there and has so many `tokens`, and `context` tokens on either side of it.
    """
    consent = services.policy.named(owners)
    place = None if token is None else Place(token=token, tokens=tokens, context=context)
    found = await services.tracing.document(corpus, document, [*consent.effective], place)
    consent.check("tracing", [found.owner])
    return found


def _about(corpora: Sequence[str]) -> tuple[str, ...]:
    """How the warnings on these corpora begin; those on others name owners, whom not everyone may know of."""
    return tuple(f"corpus {corpus}:" for corpus in corpora)


def _limited(items: Sequence[Item], consents: Sequence[Consent]) -> list[Item]:
    """The items of a batch, each for the owners that it may have."""
    return [consent.limited(item) for item, consent in zip(items, consents, strict=True)]


def _checked(found: Answers, consents: Sequence[Consent]) -> Answers:
    """The answers to a batch. Raises ConsentNotApplied for any of them."""
    for consent, answer in zip(consents, found.data, strict=True):
        consent.check("tracing", answer.named())
    return found
