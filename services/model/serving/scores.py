"""Scores of texts under a mask."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.model.engines.base import EngineFailed, Score, ScoreTask
from services.model.errors import ContextLengthExceeded
from services.model.service import ModelService
from services.model.serving.streams import failure
from shared.contracts.model import ScoreRequest, Scores, TextScore
from shared.http.errors import InvalidRequest

_MOST_TOKENS = 131_072
"""Of one request: scoring jobs wait for each other, and a client's turn is to end within minutes."""


async def score_texts(service: ModelService, body: ScoreRequest) -> Scores:
    """Score a request's texts. Raises the errors of an unknown model or expert, a bad field, a long text."""
    # in a thread: many or long texts take long to tokenise and to check
    tasks = await asyncio.to_thread(_tasks, service, body)
    found = await score(service, tasks)
    data = [
        TextScore(
            tokens=list(task.tokens),
            logprobs=one.logprobs,
            means=one.means,
            variances=one.variances,
            routing=service.experts.shares(one.routing),
            experts=service.experts.names(task.allowed),
            own_means=one.own_means,
            own_variances=one.own_variances,
            gradient_norm=one.gradient,
        )
        for task, one in zip(tasks, found, strict=True)
    ]
    every = frozenset[int]().union(*(task.allowed for task in tasks))
    return Scores(model=body.model, candor=service.applied(every), data=data)


async def score(service: ModelService, tasks: Sequence[ScoreTask]) -> list[Score]:
    """The engine's scores. Raises Overloaded, GenerationFailed, ExpertRemoved, NotServed."""
    try:
        return await asyncio.wrap_future(service.engine.score(tasks))
    except EngineFailed as error:
        raise failure(error) from error


def _tasks(service: ModelService, body: ScoreRequest) -> list[ScoreTask]:
    sequences, field = body.tokens or [], "tokens"
    if body.texts is not None:
        sequences, field = [service.tokenizer.encode(text) for text in body.texts], "texts"
    limit = service.engine.info.max_length
    for place, tokens in enumerate(sequences):
        service.check_tokens(tokens, f"{field}.{place}")
        if len(tokens) > limit:
            raise ContextLengthExceeded(limit, len(tokens), 0, f"{field}.{place}")
    if (total := sum(map(len, sequences))) > _MOST_TOKENS:
        detail = f"{field} have {total:,} tokens together; at most {_MOST_TOKENS:,} are scored in one request."
        raise InvalidRequest(f"{detail} Send several.", field=field)
    return [
        ScoreTask(tuple(tokens), allowed, own=body.own_moments, gradient=body.gradient_norm)
        for tokens, allowed in zip(sequences, _masks(service, body), strict=True)
    ]


def _masks(service: ModelService, body: ScoreRequest) -> list[frozenset[int]]:
    """The mask of each text."""
    if body.masks is None:
        return [service.mask(body.model, body.experts, "experts")] * body.count()
    return [service.mask(body.model, mask, f"masks.{place}") for place, mask in enumerate(body.masks)]
