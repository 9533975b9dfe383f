"""The model service's own resources: its experts, and scores with the experts of effective owners."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.pipeline.faults import ServiceUnavailable
from gateway.policy import UnknownOwner
from gateway.routes.dependencies import Connected
from shared.contracts.gateway import ScoreTexts
from shared.contracts.model import ExpertList, ScoreRequest, Scores
from shared.http.errors import InvalidRequest, problems

router = APIRouter(tags=["model"])


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
    given = body.model_dump(include={"texts", "tokens"}, exclude_none=True)

    async def scored() -> Scores:
        served = await services.served.now()
        request = ScoreRequest(model=served.name, experts=served.allowed(consent.experts), **given)
        return await services.model.score(request)

    scores = await services.served.current(scored)
    routed = {expert for text in scores.data for expert, share in text.routing.items() if share > 0}
    consent.check_experts({*scores.candor.experts, *routed})
    return scores
