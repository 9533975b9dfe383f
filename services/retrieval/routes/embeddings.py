"""`/v1/embeddings`, in OpenAI's shape."""

from __future__ import annotations

from fastapi import APIRouter

from services.retrieval.errors import InputTooLong, UnknownEncoder
from services.retrieval.routes.parts import Service, Threads
from shared.contracts.retrieval import EmbeddingList, EmbeddingRequest
from shared.http.errors import NotReady, Overloaded, TooLarge, openai_errors

router = APIRouter(tags=["retrieval"])


@router.post("/v1/embeddings", responses=openai_errors(InputTooLong, UnknownEncoder, TooLarge, Overloaded, NotReady))
async def create_embeddings(body: EmbeddingRequest, service: Service, threads: Threads) -> EmbeddingList:
    """Make a vector of length 1 of each text."""
    return await threads.run(service.embed, body)
