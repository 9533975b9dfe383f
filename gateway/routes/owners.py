"""GET /v1/owners: whose data this installation holds."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.policy import UnknownOwner
from gateway.routes.dependencies import Connected
from shared.contracts.gateway import OwnerList, OwnerView
from shared.http.errors import problems
from shared.owners import Owner

router = APIRouter(tags=["owners"])


@router.get("/v1/owners", response_model=OwnerList)
async def list_owners(services: Connected) -> OwnerList:
    """The owners that the client may use, with their licences, experts and corpora."""
    permitted = services.policy.permitted()
    return OwnerList(data=[_view(owner) for owner in services.policy.owners if owner.id in permitted])


@router.get("/v1/owners/{owner}", response_model=OwnerView, responses=problems(UnknownOwner))
async def get_owner(owner: str, services: Connected) -> OwnerView:
    """One of them."""
    return _view(services.policy.owner(owner))


def _view(owner: Owner) -> OwnerView:
    return OwnerView.model_validate(owner.model_dump())
