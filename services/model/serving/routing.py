"""Routing of one text: each expert's and owner's share, over all of it, by layer and by token."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.model.analysis.shares import Floats, routing_shares, summed
from services.model.engines.base import EngineFailed, RouteTask, Routing
from services.model.errors import ContextLengthExceeded
from services.model.service import ModelService
from services.model.serving.prompts import conversation
from services.model.serving.spelling import spelled
from services.model.serving.streams import failure
from shared.contracts.model import PUBLIC, Expert
from shared.contracts.routing import RoutedToken, RoutingRequest, Shares, ShareSeries, TextRouting
from shared.http.errors import InvalidRequest

MOST_TOKENS = 8192
"""Tokens of one text, whatever the model's context: the answer has every expert's share of each."""


async def route_text(service: ModelService, body: RoutingRequest) -> TextRouting:
    """Route a request's text. Raises the errors of an unknown model or expert, a bad field, a long text."""
    allowed = service.mask(body.model, body.experts, "experts")
    # in a thread: a long text takes long to tokenise
    tokens = await asyncio.to_thread(_tokens, service, body)
    (found,) = await route(service, [RouteTask(tuple(tokens), allowed)])
    return await asyncio.to_thread(_answer, service, body, tokens, allowed, found)


async def route(service: ModelService, tasks: Sequence[RouteTask]) -> list[Routing]:
    """The engine's routing. Raises Overloaded, GenerationFailed, ExpertRemoved, NotServed."""
    try:
        return await asyncio.wrap_future(service.engine.route(tasks))
    except EngineFailed as error:
        raise failure(error) from error


def _tokens(service: ModelService, body: RoutingRequest) -> list[int]:
    given = [name for name in ("text", "tokens", "messages") if getattr(body, name) is not None]
    if len(given) != 1:
        raise InvalidRequest("Give one of text, tokens and messages.", field=given[1] if given else "text")
    (field,) = given
    if body.continue_final_message and body.messages is None:
        raise InvalidRequest("continue_final_message is for messages.", field="continue_final_message")
    if body.messages is not None:
        tokens = conversation(service, body.messages, body.continue_final_message, "continue_final_message")
    else:
        tokens = service.tokenizer.encode(body.text) if body.text is not None else body.tokens or []
    service.check_tokens(tokens, field)
    limit = min(MOST_TOKENS, service.engine.info.max_length)
    if len(tokens) > limit:
        raise ContextLengthExceeded(limit, len(tokens), 0, field)
    return tokens


def _answer(
    service: ModelService, body: RoutingRequest, tokens: Sequence[int], allowed: frozenset[int], found: Routing
) -> TextRouting:
    # one that was removed meanwhile has no column; it was left out, or its removal would have waited
    experts = [expert for expert in service.experts.listed if expert.index in found.experts]
    shares = routing_shares(found.probabilities[..., [found.experts.index(expert.index) for expert in experts]])
    overall = _series(shares.overall[None], experts)
    text, spans = spelled([service.tokenizer.bytes_of(token) for token in tokens])
    return TextRouting(
        model=body.model,
        candor=service.applied(allowed),
        active=service.engine.info.active,
        text=text,
        tokens=[
            RoutedToken(id=token, token=service.tokenizer.name(token), start=start, end=end)
            for token, (start, end) in zip(tokens, spans, strict=True)
        ],
        shares=Shares(
            experts={name: value for name, (value,) in overall.experts.items()},
            owners={name: value for name, (value,) in overall.owners.items()},
        ),
        by_layer=_series(shares.by_layer, experts),
        by_token=_series(shares.by_token, experts),
        chosen=_chosen(found, experts) if body.chosen else None,
    )


def _series(shares: Floats, experts: Sequence[Expert]) -> ShareSeries:
    names = summed(shares, [_name(expert) for expert in experts])
    owners = summed(shares, [expert.owner for expert in experts])
    return ShareSeries(
        experts={name: values.tolist() for name, values in names.items()},
        owners={owner: values.tolist() for owner, values in owners.items()},
    )


def _chosen(found: Routing, experts: Sequence[Expert]) -> list[list[list[str]]]:
    names = {expert.index: _name(expert) for expert in experts}
    return [[[names[number] for number in slots if number >= 0] for slots in token] for token in found.chosen.tolist()]


def _name(expert: Expert) -> str:
    """All public experts are one, "public", as in every answer."""
    return PUBLIC if expert.public else expert.id
