"""`/v1/datastores`: what can be searched, and the documents in it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.retrieval.errors import UnknownDocument
from services.retrieval.routes.parts import Service, Threads
from shared.contracts.base import OwnerId
from shared.contracts.retrieval import DatastoreList, Document
from shared.http.errors import NotReady, Overloaded, problems
from shared.http.identities import identity
from shared.http.parameters import ONLY_KNOWN_PARAMETERS

router = APIRouter(tags=["retrieval"], dependencies=[ONLY_KNOWN_PARAMETERS])


@router.get("/v1/datastores", responses=problems(NotReady))
async def list_datastores(service: Service, threads: Threads) -> DatastoreList:
    """Every loaded datastore with its segments, and warnings on what had to be left out."""
    return await threads.run(service.datastores)


@router.get(
    f"/v1/datastores/{{datastore}}/documents/{identity('document')}",
    responses=problems(UnknownDocument, Overloaded, NotReady),
)
async def get_document(
    datastore: str,
    document: str,
    service: Service,
    threads: Threads,
    owners: Annotated[list[OwnerId] | None, Query()] = None,
) -> Document:
    """A document's whole text, if it is one of these owners'; without `owners`, one of a public owner's."""
    return await threads.run(service.document, datastore, document, owners)
