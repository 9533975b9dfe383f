"""The retrieval service's resources, for the owners that the client may use."""

from __future__ import annotations

from fastapi import APIRouter, Path

from gateway.pipeline.faults import ServiceUnavailable
from gateway.policy import Consent, UnknownOwner
from gateway.routes.dependencies import Connected, OwnersQuery
from gateway.services import Services
from shared.contracts.massive_serve import MassiveSearchRequest, MassiveSearchResponse
from shared.contracts.rerank import RerankRequest, RerankResponse
from shared.contracts.retrieval import (
    DatastoreList,
    Document,
    EmbeddingList,
    EmbeddingRequest,
    SearchRequest,
    SearchResponse,
)
from shared.http.errors import InvalidRequest, NotFound, NotJson, TooLarge, openai_errors, problems
from shared.http.identities import identity
from shared.http.parameters import ONLY_KNOWN_PARAMETERS

router = APIRouter(tags=["retrieval"])


@router.post(
    "/v1/search",
    response_model=SearchResponse,
    responses=problems(NotJson, UnknownOwner, TooLarge, ServiceUnavailable),
    dependencies=[ONLY_KNOWN_PARAMETERS],
)
async def search(body: SearchRequest, services: Connected) -> SearchResponse:
    """The best passages for a query. `owners` names whose data to search, besides the public ones."""
    return await _search(body, services.policy.named(body.owners), services)


@router.post("/search", responses=problems(InvalidRequest, ServiceUnavailable))
async def massive_search(body: MassiveSearchRequest, services: Connected) -> MassiveSearchResponse:
    """Passages for massive-serve's clients. `domains` names owners whose data to search, besides the public ones."""
    permitted = services.policy.permitted()
    named = [name for name in body.named() if name in permitted] if body.named() else None
    return MassiveSearchResponse.of(body, await _search(body.search(None), services.policy.named(named), services))


@router.get(
    "/v1/datastores",
    response_model=DatastoreList,
    responses=problems(ServiceUnavailable),
    dependencies=[ONLY_KNOWN_PARAMETERS],
)
async def list_datastores(services: Connected) -> DatastoreList:
    """What can be searched; owners that the client may not use are neither listed, counted nor warned of."""
    permitted = services.policy.permitted()
    found = await services.retrieval.datastores()
    for datastore in found.data:
        datastore.owners = [owner for owner in datastore.owners if owner in permitted]
        datastore.segments = [segment for segment in datastore.segments if segment.owner in permitted]
        datastore.warnings = [
            warning for warning in datastore.warnings if warning.owner is None or warning.owner in permitted
        ]
        datastore.documents = sum(segment.documents for segment in datastore.segments)
        datastore.passages = sum(segment.passages for segment in datastore.segments)
    return found


@router.get(
    f"/v1/datastores/{{datastore}}/documents/{identity('document')}",
    response_model=Document,
    responses=problems(NotFound, ServiceUnavailable),
    dependencies=[ONLY_KNOWN_PARAMETERS],
)
async def get_document(
    datastore: str, services: Connected, document: str = Path(min_length=1), owners: OwnersQuery = None
) -> Document:
    """A whole document of an effective owner; another owner's is refused."""
    consent = services.policy.named(owners)
    found = await services.retrieval.document(datastore, document, [*consent.effective])
    consent.check("retrieval", [found.owner])
    return found


@router.post(
    "/v1/embeddings", response_model=EmbeddingList, responses=openai_errors(InvalidRequest, ServiceUnavailable)
)
async def create_embeddings(body: EmbeddingRequest, services: Connected) -> EmbeddingList:
    """Vectors of texts, from the encoder that the datastores were built with. Of no owner's data."""
    return await services.retrieval.embed(body)


@router.post("/v1/rerank", response_model_exclude_none=True, responses=problems(NotFound, ServiceUnavailable))
async def rerank(body: RerankRequest, services: Connected) -> RerankResponse:
    """The request's own documents in the order of their relevance to its query. Of no owner's data."""
    return await services.retrieval.rerank(body)


async def _search(body: SearchRequest, consent: Consent, services: Services) -> SearchResponse:
    found = await services.retrieval.search(consent.limited(body))
    consent.check("retrieval", [*found.owners, *(passage.owner for passages in found.results for passage in passages)])
    return found
