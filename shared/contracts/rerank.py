"""`/v1/rerank`, in the shape that Cohere's and Jina's clients expect."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, model_validator

from shared.contracts.base import Strict, Text


class RerankDocument(Strict):
    """A document as an object."""

    text: Text


LLM = "llm"
"""The model's name for the language model as a judge, as `rerank` has it in a search."""
JUDGED_AT_ONCE = 100
"""Documents of a request that the language model judges, at most."""


class RerankRequest(Strict):
    """POST /v1/rerank. `model` is the encoder's name, or `llm` for the language model; without one it is the encoder.
    `top_n` keeps the best only; without it every document is answered."""

    model: str | None = None
    query: Annotated[Text, Field(min_length=1)]
    documents: Annotated[list[Text | RerankDocument], Field(min_length=1, max_length=1000)]
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool = False

    @model_validator(mode="after")
    def _within_the_models_reach(self) -> RerankRequest:
        if self.model == LLM and len(self.documents) > JUDGED_AT_ONCE:
            raise ValueError(
                f"`documents` has {len(self.documents)} for the model `{LLM}`, which takes {JUDGED_AT_ONCE}"
            )
        return self

    def texts(self) -> list[str]:
        """The documents' texts, in the order sent."""
        return [document if isinstance(document, str) else document.text for document in self.documents]


class RerankResult(BaseModel):
    """`index` is the document's place in the request; `relevance_score` the cosine of its vector and the query's, or of
    the language model from 0 to 1: the expected value over the probabilities of the digits 0 to 5, over 5."""

    index: int
    relevance_score: float
    document: RerankDocument | None = None


class RerankUsage(BaseModel):
    """Tokens of the query and of all documents, as the encoder counts them."""

    total_tokens: int


class RerankResponse(BaseModel):
    """The answer to POST /v1/rerank: the best first, equal scores in the order sent."""

    id: str
    model: str
    results: list[RerankResult]
    usage: RerankUsage
