"""`/v1/rerank`, in the shape of Cohere's and Jina's."""

from __future__ import annotations

from fastapi import APIRouter

from services.retrieval.errors import EmptyQuery, InputTooLong, NoLanguageModel, UnknownReranker
from services.retrieval.routes.parts import Assisting, Service, Threads
from shared.contracts.rerank import LLM, RerankRequest, RerankResponse
from shared.http.errors import NotReady, Overloaded, problems

router = APIRouter(tags=["retrieval"])


@router.post(
    "/v1/rerank",
    response_model_exclude_none=True,
    responses=problems(UnknownReranker, EmptyQuery, InputTooLong, Overloaded, NotReady, NoLanguageModel),
)
async def rerank(body: RerankRequest, service: Service, assistant: Assisting, threads: Threads) -> RerankResponse:
    """Put the request's documents in the order of their relevance to the query, by the encoder or the model `llm`."""
    if body.model != LLM:
        return await threads.run(service.rerank, body)
    return await assistant.rerank(body, await threads.run(service.judgeable, body))
