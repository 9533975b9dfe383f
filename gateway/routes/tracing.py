"""The tracing service's resources, for the owners that the client may use."""

from __future__ import annotations

from fastapi import APIRouter, Path

from gateway.pipeline.faults import ServiceUnavailable
from gateway.policy import UnknownOwner
from gateway.routes.dependencies import Connected, OwnersQuery
from shared.contracts.tracing import (
    CorpusDocument,
    CorpusList,
    Count,
    CountRequest,
    Find,
    FindRequest,
    Trace,
    TraceRequest,
)
from shared.http.errors import InvalidRequest, NotFound, problems
from shared.http.identities import identity

router = APIRouter(tags=["tracing"])

_ERRORS = problems(InvalidRequest, UnknownOwner, ServiceUnavailable)


@router.post("/v1/trace", response_model=Trace, responses=_ERRORS)
async def trace(body: TraceRequest, services: Connected) -> Trace:
    """Where a text stands verbatim in the corpora of the owners named, and of the public ones."""
    consent = services.policy.named(body.owners)
    found = await services.tracing.trace(body.model_copy(update={"owners": [*consent.effective]}))
    consent.check("tracing", found.named())
    return found


@router.post("/v1/count", response_model=Count, responses=_ERRORS)
async def count(body: CountRequest, services: Connected) -> Count:
    """How often a text or a run of tokens occurs."""
    consent = services.policy.named(body.owners)
    found = await services.tracing.count(body.model_copy(update={"owners": [*consent.effective]}))
    consent.check("tracing", [*found.owners, *(corpus.owner for corpus in found.corpora)])
    return found


@router.post("/v1/find", response_model=Find, responses=_ERRORS)
async def find(body: FindRequest, services: Connected) -> Find:
    """Occurrences of a text or a run of tokens, with the documents in which they stand."""
    consent = services.policy.named(body.owners)
    found = await services.tracing.find(body.model_copy(update={"owners": [*consent.effective]}))
    consent.check("tracing", [*found.owners, *(occurrence.owner for occurrence in found.occurrences)])
    return found


@router.get("/v1/corpora", response_model=CorpusList, responses=problems(ServiceUnavailable))
async def list_corpora(services: Connected) -> CorpusList:
    """What can be searched verbatim: the owners' own text, not what the base model was pretrained on."""
    permitted = services.policy.permitted()
    found = await services.tracing.corpora()
    found.data = [corpus for corpus in found.data if corpus.owner in permitted]
    return found


@router.get(
    f"/v1/corpora/{{corpus}}/documents/{identity('document')}",
    response_model=CorpusDocument,
    responses=problems(NotFound, ServiceUnavailable),
)
async def get_corpus_document(
    corpus: str, services: Connected, document: str = Path(min_length=1), owners: OwnersQuery = None
) -> CorpusDocument:
    """A whole document of an effective owner; another owner's is refused."""
    consent = services.policy.named(owners)
    found = await services.tracing.document(corpus, document, [*consent.effective])
    consent.check("tracing", [found.owner])
    return found
