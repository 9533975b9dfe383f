"""The retrieval service's client."""

from __future__ import annotations

from shared.clients.base import ServiceClient, segment
from shared.contracts.rerank import LLM, RerankRequest, RerankResponse
from shared.contracts.retrieval import (
    DatastoreList,
    Document,
    EmbeddingList,
    EmbeddingRequest,
    SearchRequest,
    SearchResponse,
)

ASSISTED_SECONDS = 300.0
"""How long what asks the language model may take."""


class RetrievalClient(ServiceClient):
    """Calls the retrieval service."""

    def __init__(self, base_url: str, *, timeout: float = 30.0) -> None:
        super().__init__("retrieval", base_url, timeout=timeout)

    async def search(self, request: SearchRequest) -> SearchResponse:
        """The best passages of the owners named."""
        if not request.assisted():
            return await self._post(SearchResponse, "/v1/search", request)
        content = request.model_dump(mode="json", exclude_unset=True)
        return await self._call(SearchResponse, "POST", "/v1/search", json=content, timeout=ASSISTED_SECONDS)

    async def rerank(self, request: RerankRequest) -> RerankResponse:
        """The request's documents by their relevance."""
        if request.model != LLM:
            return await self._post(RerankResponse, "/v1/rerank", request)
        content = request.model_dump(mode="json", exclude_unset=True)
        return await self._call(RerankResponse, "POST", "/v1/rerank", json=content, timeout=ASSISTED_SECONDS)

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
