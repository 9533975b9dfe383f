"""The retrieval service's client."""

from __future__ import annotations

from shared.clients.base import ServiceClient, segment
from shared.contracts.retrieval import (
    DatastoreList,
    Document,
    EmbeddingList,
    EmbeddingRequest,
    SearchRequest,
    SearchResponse,
)


class RetrievalClient(ServiceClient):
    """Calls the retrieval service."""

    def __init__(self, base_url: str, *, timeout: float = 30.0) -> None:
        super().__init__("retrieval", base_url, timeout=timeout)

    async def search(self, request: SearchRequest) -> SearchResponse:
        """The best passages of the owners named."""
        return await self._post(SearchResponse, "/v1/search", request)

    async def datastores(self) -> DatastoreList:
        """What can be searched."""
        return await self._get(DatastoreList, "/v1/datastores")

    async def document(self, datastore: str, document: str, owners: list[str]) -> Document:
        """A whole document, if it is one of these owners'."""
        return await self._get(
            Document, f"/v1/datastores/{segment(datastore)}/documents/{segment(document)}", owners=owners
        )

    async def embed(self, request: EmbeddingRequest) -> EmbeddingList:
        """Vectors of texts."""
        return await self._post(EmbeddingList, "/v1/embeddings", request)
