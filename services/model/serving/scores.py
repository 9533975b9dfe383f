"""Scores of texts under a mask."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.model.engines.base import EngineBusy, EngineFailed, Score, ScoreTask
from services.model.errors import ContextLengthExceeded
from services.model.service import ModelService
from services.model.serving.streams import RETRY_SECONDS, failure
from shared.contracts.model import ScoreRequest, Scores, TextScore
from shared.http.errors import InvalidRequest, Overloaded


async def score_texts(service: ModelService, body: ScoreRequest) -> Scores:
    """Score a request's texts. Raises the errors of an unknown model or expert, a bad field, a long text."""
    service.check_model(body.model)
    allowed = service.experts.mask(body.experts, "experts")
    # in a thread: many or long texts take long to tokenise and to check
    sequences = await asyncio.to_thread(_sequences, service, body)
    found = await score(service, [ScoreTask(tuple(tokens), allowed) for tokens in sequences])
    data = [
        TextScore(
            tokens=tokens,
            logprobs=one.logprobs,
            means=one.means,
            variances=one.variances,
            routing=service.experts.shares(one.routing),
        )
        for tokens, one in zip(sequences, found, strict=True)
    ]
    return Scores(model=body.model, candor=service.applied(allowed), data=data)


async def score(service: ModelService, tasks: Sequence[ScoreTask]) -> list[Score]:
    """The engine's scores. Raises Overloaded, GenerationFailed, ExpertRemoved."""
    try:
        return await asyncio.wrap_future(service.engine.score(tasks))
    except EngineBusy as error:
        raise Overloaded(f"The model is busy: {error}.", retry_after=RETRY_SECONDS) from error
    except EngineFailed as error:
        raise failure(error) from error


def _sequences(service: ModelService, body: ScoreRequest) -> list[list[int]]:
    if (body.texts is None) == (body.tokens is None):
        raise InvalidRequest("Give either texts or tokens.", field="texts")
    field = "texts" if body.tokens is None else "tokens"
    sequences = body.tokens or [service.tokenizer.encode(text) for text in body.texts or []]
    for place, tokens in enumerate(sequences):
        service.check_tokens(tokens, field)
        if len(tokens) > service.engine.info.max_length:
            raise ContextLengthExceeded(service.engine.info.max_length, len(tokens), 0, f"{field}.{place}")
    return sequences
