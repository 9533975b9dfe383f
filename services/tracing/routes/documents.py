"""Changes to the corpora: documents, and corpora with all they have."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from services.tracing.errors import (
    NotWritable,
    OwnerNotPermitted,
    UnknownCorpus,
    UnknownDocument,
    UnknownOwner,
)
from services.tracing.routes.tracer import Changing, Service
from shared.contracts.base import OwnerId
from shared.contracts.corpora import (
    AddedToCorpus,
    AddToCorpus,
    DeletedFromCorpora,
    DocumentList,
    ShownDocuments,
    WhichShown,
)
from shared.http.additions import EmptyDocument, SameId
from shared.http.errors import NotReady, problems
from shared.http.identities import identity

router = APIRouter(tags=["tracing"])

_ALWAYS = (UnknownCorpus, NotWritable, NotReady)


@router.post("/v1/corpora/{corpus}/documents", responses=problems(EmptyDocument, SameId, *_ALWAYS))
async def add_documents(corpus: str, body: AddToCorpus, changes: Changing) -> AddedToCorpus:
    """Add documents to a corpus, in the place of those of the same ids: all of them or none. They are on disk when this
    answers, and in the answer to the next request."""
    return await run_in_threadpool(changes.add, corpus, body)


@router.get("/v1/corpora/{corpus}/documents", responses=problems(UnknownCorpus, OwnerNotPermitted, NotReady))
async def list_documents(
    corpus: str,
    tracer: Service,
    owners: Annotated[list[OwnerId] | None, Query()] = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> DocumentList:
    """The documents of a corpus, without their texts, if it is one of these owners'; without `owners`, if public."""
    return await run_in_threadpool(tracer.documents, corpus, owners, offset, limit)


@router.post("/v1/documents/shown", responses=problems(UnknownOwner, NotReady))
async def which_are_shown(body: WhichShown, tracer: Service) -> ShownDocuments:
    """Which of some documents are there now: for whoever keeps answers, to leave out of them what was deleted or is
    blocked since."""
    return await run_in_threadpool(tracer.shown, body)


@router.delete(
    f"/v1/corpora/{{corpus}}/documents/{identity('document')}", responses=problems(UnknownDocument, *_ALWAYS)
)
async def delete_document(corpus: str, document: str, changes: Changing) -> DeletedFromCorpora:
    """Delete a document: it is in no answer any more, and `candor data build` does not bring it back."""
    return await run_in_threadpool(changes.delete, corpus, document)


@router.delete("/v1/corpora/{corpus}", responses=problems(*_ALWAYS))
async def drop_corpus(corpus: str, changes: Changing) -> DeletedFromCorpora:
    """Delete a corpus with all its files. `candor data build` leaves its owner's texts out from then on, until it is
    told to restore the owner."""
    return await run_in_threadpool(changes.drop, corpus)
