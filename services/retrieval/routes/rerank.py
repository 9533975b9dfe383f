"""`/v1/rerank`, in the shape of Cohere's and Jina's."""

from __future__ import annotations

from fastapi import APIRouter

from services.retrieval.errors import EmptyQuery, InputTooLong, UnknownEncoder
from services.retrieval.routes.parts import Service, Threads
from shared.contracts.rerank import RerankRequest, RerankResponse
from shared.http.errors import NotReady, Overloaded, problems

router = APIRouter(tags=["retrieval"])


@router.post(
    "/v1/rerank",
    response_model_exclude_none=True,
    responses=problems(UnknownEncoder, EmptyQuery, InputTooLong, Overloaded, NotReady),
)
async def rerank(body: RerankRequest, service: Service, threads: Threads) -> RerankResponse:
    """Put the request's documents in the order of their relevance to the query."""
    return await threads.run(service.rerank, body)
