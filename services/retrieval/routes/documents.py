"""Changes to what can be searched: documents, and owners with all they have."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.retrieval.errors import (
    NotWritable,
    UnknownDatastore,
    UnknownDocument,
    UnknownOwner,
)
from services.retrieval.routes.parts import Changing, Threads
from shared.contracts.base import OwnerId
from shared.contracts.retrieval import AddDocuments, Deleted, DocumentsAdded
from shared.http.additions import EmptyDocument, SameId
from shared.http.errors import NotReady, Overloaded, problems
from shared.http.identities import identity

router = APIRouter(tags=["retrieval"])

_ALWAYS = (UnknownDatastore, UnknownOwner, NotWritable, Overloaded, NotReady)


@router.post("/v1/datastores/{datastore}/documents", responses=problems(EmptyDocument, SameId, *_ALWAYS))
async def add_documents(datastore: str, body: AddDocuments, changes: Changing, threads: Threads) -> DocumentsAdded:
    """Add documents of one owner, in the place of those of the same ids: all of them or none. They are on disk when
    this answers, and in the next search."""
    return await threads.run(changes.add, datastore, body)


@router.delete(
    f"/v1/datastores/{{datastore}}/documents/{identity('document')}", responses=problems(UnknownDocument, *_ALWAYS)
)
async def delete_document(
    datastore: str, document: str, owner: Annotated[OwnerId, Query()], changes: Changing, threads: Threads
) -> Deleted:
    """Delete a document of one owner: it is in no search any more, and `candor data build` does not bring it back."""
    return await threads.run(changes.delete, datastore, document, owner)


@router.delete("/v1/datastores/{datastore}/owners/{owner}", responses=problems(*_ALWAYS))
async def drop_owner(datastore: str, owner: OwnerId, changes: Changing, threads: Threads) -> Deleted:
    """Delete all files of an owner in a datastore. `candor data build` leaves the owner's texts out from then on, until
    it is told to restore the owner. If the owner was public there is no index `leann` while its codebook is
    learnt anew without the owner."""
    return await threads.run(changes.drop_owner, datastore, owner)
