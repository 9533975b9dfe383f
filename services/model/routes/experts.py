"""PUT and DELETE /v1/experts/{owner}: experts join and leave while the service runs, as its operator says."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from services.model.errors import BrokenExpert, ExpertsFixed, ExpertsUnwritable, PublicExpert, UnknownExpert
from services.model.roster import Roster
from services.model.routes.dependencies import Service
from shared.contracts.base import OwnerId
from shared.contracts.model import Expert
from shared.http.disconnect import ClientGone
from shared.http.errors import NotReady, TooLarge, problems

PATH = "/v1/experts/"
_FILE = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}, "required": True}
_REPLACED: dict[int | str, dict[str, object]] = {
    200: {"model": Expert, "description": "The owner had an expert; this one has taken its place."}
}

router = APIRouter(tags=["models"])


async def _roster(request: Request, _: Service) -> Roster:
    roster: Roster = request.app.state.roster
    return roster


Change = Annotated[Roster, Depends(_roster)]


@router.put(
    PATH + "{owner}",
    response_model=Expert,
    status_code=201,
    responses={
        **_REPLACED,
        **problems(PublicExpert, TooLarge, BrokenExpert, ExpertsFixed, ExpertsUnwritable, NotReady),
    },
    openapi_extra={"requestBody": _FILE},
)
async def put_expert(owner: OwnerId, request: Request, response: Response, roster: Change) -> Expert:
    """Add or replace an owner's expert, from the file that `candor expert export` wrote."""
    try:
        expert, created = await roster.put(owner, request.stream())
    except ClientDisconnect as error:
        raise ClientGone("The client closed the connection in the middle of the file.") from error
    response.status_code = 201 if created else 200
    return expert


@router.delete(
    PATH + "{owner}", status_code=204, responses=problems(PublicExpert, UnknownExpert, ExpertsUnwritable, NotReady)
)
async def delete_expert(owner: OwnerId, roster: Change) -> None:
    """Remove an owner's expert: refused to new requests at once, out of memory when this answers."""
    await roster.delete(owner)
