"""The model service's own resources: experts, tokenizer, scores and routing, with the experts of effective owners."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import APIRouter

from gateway.pipeline.faults import ServiceUnavailable
from gateway.pipeline.options import UnknownModel, require_model
from gateway.pipeline.routing import by_registry
from gateway.policy import Consent, UnknownOwner
from gateway.routes.dependencies import Connected
from gateway.services import Services
from shared.contracts.gateway import AnalyseTexts, RouteText, ScoreTexts
from shared.contracts.model import (
    Detokenized,
    DetokenizeRequest,
    ExpertList,
    ScoreRequest,
    Scores,
    TokenizeRequest,
    TokenizerInfo,
    Tokens,
)
from shared.contracts.routing import AnalysisRequest, RoutingAnalysis, RoutingRequest, TextRouting
from shared.http.errors import InvalidRequest, problems

router = APIRouter(tags=["model"])

Request = TypeVar("Request", ScoreRequest, RoutingRequest, AnalysisRequest)
Answer = TypeVar("Answer")

_TOKENISING = problems(InvalidRequest, UnknownModel, ServiceUnavailable)


@router.get("/v1/experts", response_model=ExpertList, responses=problems(ServiceUnavailable))
async def list_experts(services: Connected) -> ExpertList:
    """The experts of the served model and whose data each was trained on."""
    permitted = services.policy.permitted()
    found = await services.model.experts()
    found.data = [expert for expert in found.data if expert.owner is None or expert.owner in permitted]
    return found


@router.post("/v1/score", response_model=Scores, responses=problems(InvalidRequest, UnknownOwner, ServiceUnavailable))
async def score(body: ScoreTexts, services: Connected) -> Scores:
    """Log-probabilities of a text's tokens, computed by the experts of the owners named and the public expert."""
    consent = services.policy.named(body.owners)
    scores = await _computed(services.model.score, ScoreRequest, body, consent, services)
    routed = {expert for text in scores.data for expert, share in text.routing.items() if share > 0}
    consent.check_experts({*scores.candor.experts, *routed})
    return scores


@router.post(
    "/v1/routing", response_model=TextRouting, responses=problems(InvalidRequest, UnknownOwner, ServiceUnavailable)
)
async def route(body: RouteText, services: Connected) -> TextRouting:
    """Each owner's share of a text, over all of it, by layer and by token, among the owners named and the public."""
    consent = services.policy.named(body.owners)
    found = await _computed(services.model.route, RoutingRequest, body, consent, services)
    return by_registry(found, consent)


@router.post(
    "/v1/routing/analysis",
    response_model=RoutingAnalysis,
    responses=problems(InvalidRequest, UnknownOwner, ServiceUnavailable),
)
async def analyse_routing(body: AnalyseTexts, services: Connected) -> RoutingAnalysis:
    """OLMoE's analyses of texts by domain, with the experts of the owners named and the public expert."""
    consent = services.policy.named(body.owners)
    found = await _computed(services.model.analyse, AnalysisRequest, body, consent, services)
    consent.check_experts({*found.candor.experts, *found.experts}, public=found.public)
    return found


@router.post("/tokenize", response_model=Tokens, responses=_TOKENISING)
async def tokenize(body: TokenizeRequest, services: Connected) -> Tokens:
    """The tokens of a prompt, or of messages under the chat template: without passages, which only an answer reads."""
    return await services.model.tokenize(body.model_copy(update={"model": await _served(body.model, services)}))


@router.post("/detokenize", response_model=Detokenized, responses=_TOKENISING)
async def detokenize(body: DetokenizeRequest, services: Connected) -> Detokenized:
    """The text of tokens, special ones too."""
    return await services.model.detokenize(body.model_copy(update={"model": await _served(body.model, services)}))


@router.get("/tokenizer_info", response_model=TokenizerInfo, responses=problems(ServiceUnavailable))
async def tokenizer_info(services: Connected) -> TokenizerInfo:
    """The special tokens and the chat template of the served model."""
    return await services.model.tokenizer_info()


async def _computed(
    call: Callable[[Request], Awaitable[Answer]],
    kind: type[Request],
    body: ScoreTexts | RouteText | AnalyseTexts,
    consent: Consent,
    services: Services,
) -> Answer:
    """What the model service makes of a body, with the experts that consent allows in place of its owners."""
    given = body.model_dump(exclude={"model", "owners"}, exclude_unset=True)

    async def computed() -> Answer:
        served = await services.served.now()
        return await call(kind(model=served.name, experts=served.allowed(consent), **given))

    return await services.served.current(computed)


async def _served(name: str | None, services: Services) -> str:
    """The served model behind a name of the gateway's. Raises UnknownModel."""
    if name is not None:
        require_model(name)
    return (await services.served.now()).name
