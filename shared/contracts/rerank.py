"""`/v1/rerank`, in the shape that Cohere's and Jina's clients expect."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from shared.contracts.base import Strict, Text


class RerankDocument(Strict):
    """A document as an object."""

    text: Text


class RerankRequest(Strict):
    """POST /v1/rerank. `top_n` keeps the best only; without it every document is answered."""

    model: str = "minilm"
    query: Annotated[Text, Field(min_length=1)]
    documents: Annotated[list[Text | RerankDocument], Field(min_length=1, max_length=1000)]
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool = False

    def texts(self) -> list[str]:
        """The documents' texts, in the order sent."""
        return [document if isinstance(document, str) else document.text for document in self.documents]


class RerankResult(BaseModel):
    """`index` is the document's place in the request; `relevance_score` the cosine of its vector and the query's."""

    index: int
    relevance_score: float
    document: RerankDocument | None = None


class RerankUsage(BaseModel):
    """Tokens of the query and of all documents."""

    total_tokens: int


class RerankResponse(BaseModel):
    """The answer to POST /v1/rerank: the best first, equal scores in the order sent."""

    id: str
    model: str
    results: list[RerankResult]
    usage: RerankUsage
