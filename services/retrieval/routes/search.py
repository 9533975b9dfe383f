"""`/v1/search`."""

from __future__ import annotations

from fastapi import APIRouter

from services.retrieval.errors import EmptyQuery, IndexNotBuilt, TooMuchWork, UnknownDatastore
from services.retrieval.routes.parts import Assisting, Service, Threads
from shared.contracts.retrieval import SearchRequest, SearchResponse
from shared.http.errors import NotJson, NotReady, Overloaded, TooLarge, problems
from shared.http.parameters import ONLY_KNOWN_PARAMETERS

router = APIRouter(tags=["retrieval"], dependencies=[ONLY_KNOWN_PARAMETERS])


@router.post(
    "/v1/search",
    responses=problems(
        EmptyQuery, IndexNotBuilt, TooMuchWork, UnknownDatastore, NotJson, TooLarge, Overloaded, NotReady
    ),
)
async def search(body: SearchRequest, service: Service, assistant: Assisting, threads: Threads) -> SearchResponse:
    """Find the best passages of the permitted owners; without `owners`, of the public ones alone.

    `compactds` scores by meaning from vectors on disk, `leann` from texts embedded again, `bm25` by words, `hybrid` by
    `compactds` and `bm25` together. `rewrite` and `rerank` ask the language model, with the experts of the same owners;
    when it cannot be reached, the search is answered without it and says so. What is left out leaves no trace: the
    answer is that of a datastore without it.
    """
    if not body.assisted():
        return await threads.run(service.search, body)
    owners = await threads.run(service.owners, body)
    return await assistant.search(body, owners, lambda plain: threads.run(service.search, plain))
