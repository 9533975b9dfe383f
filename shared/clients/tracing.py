"""The tracing service's client."""

from __future__ import annotations

from shared.clients.base import ServiceClient, ServiceError, segment
from shared.contracts.corpora import (
    AddedToCorpus,
    AddToCorpus,
    DeletedFromCorpora,
    DocumentList,
    ShownDocuments,
    WhichShown,
)
from shared.contracts.ngram import Ngram, NgramRequest
from shared.contracts.tracing import (
    CorpusDocument,
    CorpusList,
    Count,
    CountBatch,
    CountList,
    CountRequest,
    Find,
    FindRequest,
    Place,
    Trace,
    TraceBatch,
    TraceList,
    TraceRequest,
)


class TracingClient(ServiceClient):
    """Calls the tracing service."""

    def __init__(self, base_url: str, *, timeout: float = 30.0) -> None:
        super().__init__("tracing", base_url, timeout=timeout)

    async def trace(self, request: TraceRequest) -> Trace:
        """Where a text stands verbatim."""
        return await self._post(Trace, "/v1/trace", request)

    async def count(self, request: CountRequest) -> Count:
        """How often an n-gram occurs."""
        return await self._post(Count, "/v1/count", request)

    async def traces(self, batch: TraceBatch) -> TraceList:
        """The trace of each text."""
        found = await self._post(TraceList, "/v1/trace/batch", batch)
        self._check_whole(len(found.data), len(batch.items))
        return found

    async def counts(self, batch: CountBatch) -> CountList:
        """The count of each n-gram."""
        found = await self._post(CountList, "/v1/count/batch", batch)
        self._check_whole(len(found.data), len(batch.items))
        return found

    async def find(self, request: FindRequest) -> Find:
        """Occurrences of an n-gram with their documents."""
        return await self._post(Find, "/v1/find", request)

    async def ngram(self, request: NgramRequest) -> Ngram:
        """What follows a text."""
        return await self._post(Ngram, "/v1/ngram", request)

    async def corpora(self) -> CorpusList:
        """What can be searched."""
        return await self._get(CorpusList, "/v1/corpora")

    async def document(
        self, corpus: str, document: str, owners: list[str], place: Place | None = None
    ) -> CorpusDocument:
        """A whole document, or what is around a place in it, if it is one of these owners'."""
        path = f"/v1/corpora/{segment(corpus)}/documents/{segment(document)}"
        return await self._get(CorpusDocument, path, owners=owners, **(place.model_dump() if place else {}))

    async def documents(self, corpus: str, owners: list[str], offset: int = 0, limit: int = 100) -> DocumentList:
        """A page of a corpus's documents, if it is one of these owners'."""
        path = f"/v1/corpora/{segment(corpus)}/documents"
        return await self._get(DocumentList, path, owners=owners, offset=offset, limit=limit)

    async def shown(self, request: WhichShown) -> ShownDocuments:
        """Which documents are there now."""
        return await self._post(ShownDocuments, "/v1/documents/shown", request)

    async def add_documents(self, corpus: str, request: AddToCorpus) -> AddedToCorpus:
        """Add documents to a corpus, in the place of those of the same ids."""
        return await self._post(AddedToCorpus, f"/v1/corpora/{segment(corpus)}/documents", request)

    async def delete_document(self, corpus: str, document: str) -> DeletedFromCorpora:
        """Delete a document."""
        path = f"/v1/corpora/{segment(corpus)}/documents/{segment(document)}"
        return await self._call(DeletedFromCorpora, "DELETE", path)

    async def drop_corpus(self, corpus: str) -> DeletedFromCorpora:
        """Delete a corpus with all its files."""
        return await self._call(DeletedFromCorpora, "DELETE", f"/v1/corpora/{segment(corpus)}")

    def _check_whole(self, answered: int, asked: int) -> None:
        if answered != asked:
            raise ServiceError(self.name, f"{answered} answers to {asked} items")
