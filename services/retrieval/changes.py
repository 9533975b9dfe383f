"""Adding and deleting documents and owners, between the routes and the datastore's writer."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import structlog

from services.retrieval.datastore.catalogue import Catalogue, Datastore
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.writer import Writer
from services.retrieval.errors import EmptyDocument, SameId, UnknownDatastore, UnknownDocument, UnknownOwner
from shared.contracts import retrieval as wire
from shared.owners import Owner

_log = structlog.get_logger()


class Changes:
    """Changes to the datastores, which are on disk and in every search when a method returns. Every method blocks."""

    def __init__(self, catalogue: Catalogue, writer: Writer, registered: Mapping[str, Owner]) -> None:
        self._catalogue = catalogue
        self._writer = writer
        self._registered = registered
        self._merging = ThreadPoolExecutor(1, thread_name_prefix="merge")

    def add(self, datastore: str, request: wire.AddDocuments) -> wire.DocumentsAdded:
        """Add documents of one owner, in the place of those of the same ids."""
        holder, owner = self._datastore(datastore), self._owner(request.owner)
        _check(request)
        documents = [Document(**{**vars(each), "licence": each.licence or owner.licence}) for each in request.documents]
        added = self._writer.add(holder, owner, documents)
        self._catalogue.get(datastore)
        self._merging.submit(self._merge, datastore, owner)
        return wire.DocumentsAdded(owner=owner.id, added=added.ids, replaced=added.replaced, passages=added.passages)

    def delete(self, datastore: str, document: str, owner: str) -> wire.Deleted:
        """Delete a document of one owner."""
        holder, registered = self._datastore(datastore), self._owner(owner)
        if not self._writer.delete(holder, owner, document):
            raise UnknownDocument(document, datastore, [owner])
        self._catalogue.get(datastore)
        self._merging.submit(self._merge, datastore, registered)
        return wire.Deleted(id=document, object="document")

    def drop_owner(self, datastore: str, owner: str) -> wire.Deleted:
        """Delete all files of an owner in a datastore."""
        holder = self._datastore(datastore)
        if not self._writer.drop_owner(holder, owner):
            raise UnknownOwner(owner, holder.owners)
        self._catalogue.get(datastore)
        return wire.Deleted(id=owner, object="owner")

    def close(self) -> None:
        """Let the merge under way end; what is left to merge is merged after the next change."""
        self._merging.shutdown(wait=True, cancel_futures=True)

    def _merge(self, datastore: str, owner: Owner) -> None:
        try:
            self._writer.merge(datastore, owner)
            self._catalogue.get(datastore)
        except Exception:  # nothing is lost by it: the next change tries again
            _log.exception("additions could not be merged", datastore=datastore, owner=owner.id)

    def _datastore(self, name: str) -> Datastore:
        found = self._catalogue.get(name)
        if found is None:
            raise UnknownDatastore(name, [datastore.id for datastore in self._catalogue.all()])
        return found

    def _owner(self, identity: str) -> Owner:
        if identity not in self._registered:
            raise UnknownOwner(identity, self._registered)
        return self._registered[identity]


def _check(request: wire.AddDocuments) -> None:
    seen: set[str] = set()
    for place, document in enumerate(request.documents):
        if not document.text.strip():
            raise EmptyDocument(place)
        if document.id in seen:
            raise SameId(place, document.id)
        seen.add(document.id)
