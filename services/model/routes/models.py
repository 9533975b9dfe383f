"""GET /v1/models and /v1/experts: what is served."""

from __future__ import annotations

from fastapi import APIRouter

from services.model.errors import UnknownModel
from services.model.routes.dependencies import Service
from services.model.service import ModelService
from shared.contracts.model import ExpertList
from shared.contracts.openai import Model, ModelList
from shared.http.errors import NotReady, openai_errors, problems

router = APIRouter(tags=["models"])


@router.get("/v1/models", responses=openai_errors(NotReady))
async def list_models(service: Service) -> ModelList:
    """The one model that is served."""
    return ModelList(data=[_model(service)])


@router.get("/v1/models/{model}", responses=openai_errors(UnknownModel, NotReady))
async def get_model(model: str, service: Service) -> Model:
    """A model by its name."""
    service.check_model(model)
    return _model(service)


@router.get("/v1/experts", responses=problems(NotReady))
async def list_experts(service: Service) -> ExpertList:
    """The experts of the model, in the order of their place in it: what a request's mask can name."""
    info = service.engine.info
    return ExpertList(
        model=service.settings.name,
        architecture=info.architecture,
        active=info.active,
        data=list(service.experts.listed),
    )


def _model(service: ModelService) -> Model:
    limit = service.engine.info.max_length
    return Model(id=service.settings.name, created=service.started, owned_by="candor", max_model_len=limit)
