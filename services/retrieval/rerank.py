"""Documents of a request put in order by the encoder's exact score."""

from __future__ import annotations

from uuid import uuid4

import numpy as np

from services.retrieval.bounds import check_tokens
from services.retrieval.encoders.base import Encoder
from services.retrieval.errors import EmptyQuery, InputTooLong, UnknownEncoder
from shared.contracts import rerank as wire


def rerank(request: wire.RerankRequest, encoder: Encoder) -> wire.RerankResponse:
    """The documents by the inner product of their vectors with the query's, both of length 1.

    Raises UnknownEncoder for a model that is not the loaded one, EmptyQuery for a query or document of white space,
    InputTooLong for one that the encoder would not read to the end, TooManyTokens for more than one request may have.
    """
    card = encoder.card
    if request.model != card.name:
        raise UnknownEncoder(request.model, card.name)
    documents = request.texts()
    texts = [request.query, *documents]
    fields = ["query", *(f"documents.{number}" for number in range(len(documents)))]
    counts = encoder.count(texts)
    for field, text, count in zip(fields, texts, counts, strict=True):
        if not text.strip():
            raise EmptyQuery(field)
        if count > card.max_tokens:
            raise InputTooLong(field, count, card.max_tokens)
    check_tokens("documents", counts)
    scores = encoder.encode(documents) @ encoder.encode_queries([request.query])[0]
    best = np.argsort(-scores, kind="stable")[: request.top_n]
    return wire.RerankResponse(
        id=f"rerank-{uuid4().hex}",
        model=card.name,
        results=[
            wire.RerankResult(
                index=int(index),
                relevance_score=float(scores[index]),
                document=wire.RerankDocument(text=documents[index]) if request.return_documents else None,
            )
            for index in best
        ],
        usage=wire.RerankUsage(total_tokens=sum(counts)),
    )
