"""`/search`, as massive-serve has it."""

from __future__ import annotations

from fastapi import APIRouter

from services.retrieval.errors import EmptyQuery, UnknownDatastore
from services.retrieval.routes.parts import Service, Threads
from shared.contracts.massive_serve import MassiveSearchRequest, MassiveSearchResponse
from shared.http.errors import NotReady, Overloaded, problems

router = APIRouter(tags=["retrieval"])


@router.post("/search", responses=problems(EmptyQuery, UnknownDatastore, Overloaded, NotReady))
async def massive_search(body: MassiveSearchRequest, service: Service, threads: Threads) -> MassiveSearchResponse:
    """Find passages by meaning (`compactds`) for massive-serve's clients, of public owners and those in `domains`."""
    return await threads.run(service.massive_search, body)
