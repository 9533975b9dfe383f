"""Adding and deleting documents and owners, between the routes and the datastore's writer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import structlog

from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.deletions import BadDeletions
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.layout import BadLayout
from services.retrieval.datastore.tombstones import BadTombstones
from services.retrieval.datastore.writer import Writer
from services.retrieval.errors import NotWritable, UnknownDocument, UnknownOwner
from services.retrieval.named import named
from shared.contracts import retrieval as wire
from shared.http.additions import check_additions, why_unwritable
from shared.owners import Owner

_log = structlog.get_logger()


class Changes:
    """Changes to the datastores, which are on disk and in every search when a method returns. Every method blocks."""

    def __init__(self, catalogue: Catalogue, writer: Writer, registered: Mapping[str, Owner]) -> None:
        self._catalogue = catalogue
        self._writer = writer
        self._registered = registered
        self._behind = ThreadPoolExecutor(1, thread_name_prefix="merge")

    def resume(self) -> None:
        """Go on in the background with what was not finished when the last process ended: its deletions of owners, and
        the merges that were due."""
        for datastore in self._catalogue.all():
            self._behind.submit(self._resume, datastore.id)
            for owner in self._registered.values():
                self._behind.submit(self._merge, datastore.id, owner)

    def add(self, datastore: str, request: wire.AddDocuments) -> wire.DocumentsAdded:
        """Add documents of one owner, in the place of those of the same ids."""
        holder, owner = named(self._catalogue, datastore), self._owner(request.owner)
        check_additions(request.documents)
        documents = [Document(**{**vars(each), "licence": each.licence or owner.licence}) for each in request.documents]
        with _writing(datastore):
            added = self._writer.add(holder, owner, documents)
        self._catalogue.get(datastore)
        self._behind.submit(self._merge, datastore, owner)
        return wire.DocumentsAdded(owner=owner.id, added=added.ids, replaced=added.replaced, passages=added.passages)

    def delete(self, datastore: str, document: str, owner: str) -> wire.Deleted:
        """Delete a document of one owner."""
        holder, registered = named(self._catalogue, datastore), self._owner(owner)
        with _writing(datastore):
            if not self._writer.delete(holder, owner, document):
                raise UnknownDocument(document, datastore, [owner])
        self._catalogue.get(datastore)
        self._behind.submit(self._merge, datastore, registered)
        return wire.Deleted(id=document, object="document")

    def drop_owner(self, datastore: str, owner: str) -> wire.Deleted:
        """Delete all files of an owner in a datastore. If LEANN's codebook was learnt from them, there is none until it
        is learnt anew, in the background."""
        holder = named(self._catalogue, datastore)
        with _writing(datastore):
            if not self._writer.drop_owner(holder, owner):
                raise UnknownOwner(owner, holder.owners)
        self._catalogue.get(datastore)
        self._behind.submit(self._resume, datastore)
        return wire.Deleted(id=owner, object="owner")

    def close(self) -> None:
        """Let the merge under way end; what is left to merge is merged after the next start."""
        self._behind.shutdown(wait=True, cancel_futures=True)

    def _resume(self, datastore: str) -> None:
        try:
            self._writer.resume(datastore)
            self._catalogue.get(datastore)
        except Exception:  # what is recorded as deleted stays so; the next deletion of an owner or start tries again
            _log.exception("what was left unfinished could not be finished", datastore=datastore)

    def _merge(self, datastore: str, owner: Owner) -> None:
        try:
            self._writer.merge(datastore, owner)
            self._catalogue.get(datastore)
        except Exception:  # nothing is lost by it: the next change tries again
            _log.exception("additions could not be merged", datastore=datastore, owner=owner.id)

    def _owner(self, identity: str) -> Owner:
        if identity not in self._registered:
            raise UnknownOwner(identity, self._registered)
        return self._registered[identity]


@contextmanager
def _writing(datastore: str) -> Iterator[None]:
    """Say what is wrong with the datastore's files, and what to do, if it is not the request that is."""
    try:
        yield
    except (BadDeletions, BadLayout, BadTombstones) as error:
        raise NotWritable(datastore, str(error)) from error
    except OSError as error:
        raise NotWritable(datastore, why_unwritable(error)) from error
