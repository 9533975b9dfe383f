"""Documents of a request put in order, by the encoder's exact score or by the language model's judgement."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from services.retrieval.bounds import check_tokens
from services.retrieval.encoders.base import Encoder
from services.retrieval.errors import EmptyQuery, InputTooLong, TextTooLong, UnknownReranker
from services.retrieval.language.judging import HIGHEST, LONGEST_PASSAGE, LONGEST_QUERY
from shared.contracts import rerank as wire


def rerank(request: wire.RerankRequest, encoder: Encoder) -> wire.RerankResponse:
    """The documents by the inner product of their vectors with the query's, both of length 1.

    Raises UnknownReranker for a model that is not the loaded one, EmptyQuery for a query or document of white space,
    InputTooLong for one that the encoder would not read to the end, TooManyTokens for more than one request may have.
    """
    card = encoder.card
    if request.model not in (None, card.name):
        raise UnknownReranker(str(request.model), [card.name, wire.LLM])
    texts = _texts(request)
    counts = encoder.count(list(texts.values()))
    for field, count in zip(texts, counts, strict=True):
        if count > card.max_tokens:
            raise InputTooLong(field, count, card.max_tokens)
    check_tokens("documents", counts)
    scores = encoder.encode(request.texts()) @ encoder.encode_queries([request.query])[0]
    return _ordered(request, scores, card.name, sum(counts))


def judgeable(request: wire.RerankRequest, encoder: Encoder) -> int:
    """Tokens of a request that the language model is to judge.

    Raises EmptyQuery for a query or document of white space, TextTooLong for one that the model would not read to the
    end.
    """
    texts = _texts(request)
    for field, text in texts.items():
        limit = LONGEST_QUERY if field == "query" else LONGEST_PASSAGE
        if len(text) > limit:
            raise TextTooLong(field, len(text), limit)
    return sum(encoder.count(list(texts.values())))


def by_judgement(
    request: wire.RerankRequest, judged: Sequence[float | None], model: str, tokens: int
) -> wire.RerankResponse:
    """The documents by the language model's scores, from 0 to 5; one without a score has 0."""
    return _ordered(request, np.array([score or 0.0 for score in judged]) / HIGHEST, model, tokens)


def _texts(request: wire.RerankRequest) -> dict[str, str]:
    """The query and the documents by their fields. Raises EmptyQuery."""
    texts = {"query": request.query} | {f"documents.{number}": text for number, text in enumerate(request.texts())}
    for field, text in texts.items():
        if not text.strip():
            raise EmptyQuery(field)
    return texts


def _ordered(request: wire.RerankRequest, scores: NDArray[np.floating], model: str, tokens: int) -> wire.RerankResponse:
    documents = request.texts()
    best = np.argsort(-scores, kind="stable")[: request.top_n]
    return wire.RerankResponse(
        id=f"rerank-{uuid4().hex}",
        model=model,
        results=[
            wire.RerankResult(
                index=int(index),
                relevance_score=float(scores[index]),
                document=wire.RerankDocument(text=documents[index]) if request.return_documents else None,
            )
            for index in best
        ],
        usage=wire.RerankUsage(total_tokens=tokens),
    )
