"""POST /v1/score."""

from __future__ import annotations

from fastapi import APIRouter, Request

from services.model.errors import ContextLengthExceeded, UnknownExpert
from services.model.routes.dependencies import Service
from services.model.serving.scores import score_texts
from services.model.serving.streams import NotServed
from shared.contracts.model import ScoreRequest, Scores
from shared.http.disconnect import until_gone
from shared.http.errors import NotReady, Overloaded, problems

router = APIRouter(tags=["scores"])


@router.post("/v1/score", responses=problems(ContextLengthExceeded, UnknownExpert, Overloaded, NotReady, NotServed))
async def create_score(body: ScoreRequest, request: Request, service: Service) -> Scores:
    """Score texts token by token, with the named experts and the public one."""
    return await until_gone(request, score_texts(service, body))
