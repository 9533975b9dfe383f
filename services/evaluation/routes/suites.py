"""`/v1/suites`: what can be run."""

from __future__ import annotations

from fastapi import APIRouter

from services.evaluation.routes.service import Service
from shared.contracts.evaluation import SuiteList
from shared.http.errors import NotReady, problems

router = APIRouter(tags=["evaluation"])


@router.get("/v1/suites", responses=problems(NotReady))
async def list_suites(service: Service) -> SuiteList:
    """The suites, each with the JSON schema of its options."""
    return SuiteList(data=service.suites())
