"""`/v1/search`."""

from __future__ import annotations

from fastapi import APIRouter

from services.retrieval.errors import EmptyQuery, IndexNotBuilt, UnknownDatastore
from services.retrieval.routes.parts import Service, Threads
from shared.contracts.retrieval import SearchRequest, SearchResponse
from shared.http.errors import NotJson, NotReady, Overloaded, TooLarge, problems
from shared.http.parameters import ONLY_KNOWN_PARAMETERS

router = APIRouter(tags=["retrieval"], dependencies=[ONLY_KNOWN_PARAMETERS])


@router.post(
    "/v1/search",
    responses=problems(EmptyQuery, IndexNotBuilt, UnknownDatastore, NotJson, TooLarge, Overloaded, NotReady),
)
async def search(body: SearchRequest, service: Service, threads: Threads) -> SearchResponse:
    """Find the best passages of the permitted owners; without `owners`, of the public ones alone.

    `compactds` scores by meaning from vectors on disk, `leann` from texts embedded again, `bm25` by words, `hybrid` by
    `compactds` and `bm25` together. What is left out leaves no trace: the answer is that of a datastore without
    it.
    """
    return await threads.run(service.search, body)
