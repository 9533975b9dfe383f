"""POST /v1/routing and /v1/routing/analysis."""

from __future__ import annotations

from fastapi import APIRouter, Request

from services.model.errors import ContextLengthExceeded, UnknownCheckpoint, UnknownExpert
from services.model.routes.dependencies import Service
from services.model.serving.analysis import analyse_texts
from services.model.serving.routing import route_text
from services.model.serving.streams import NotServed
from shared.contracts.routing import AnalysisRequest, RoutingAnalysis, RoutingRequest, TextRouting
from shared.http.disconnect import until_gone
from shared.http.errors import NotReady, Overloaded, problems

router = APIRouter(tags=["routing"])


@router.post("/v1/routing", responses=problems(ContextLengthExceeded, UnknownExpert, Overloaded, NotServed, NotReady))
async def create_routing(body: RoutingRequest, request: Request, service: Service) -> TextRouting:
    """Say which experts and owners a text is routed to, with the named experts and the public one."""
    return await until_gone(request, route_text(service, body))


@router.post(
    "/v1/routing/analysis",
    responses=problems(ContextLengthExceeded, UnknownCheckpoint, Overloaded, NotServed, NotReady),
)
async def create_routing_analysis(body: AnalysisRequest, request: Request, service: Service) -> RoutingAnalysis:
    """Analyse the routing of texts by domain as OLMoE does, with the named experts and the public one."""
    return await until_gone(request, analyse_texts(service, body))
