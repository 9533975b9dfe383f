"""The model service's client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from shared.clients.base import ServiceClient, segment
from shared.contracts.model import (
    Expert,
    ExpertList,
    ModelChatChunk,
    ModelChatCompletion,
    ModelChatRequest,
    ModelCompletionRequest,
    ModelTextCompletion,
    ScoreRequest,
    Scores,
)
from shared.contracts.openai import ModelList

_PIECE = 1 << 20
"""Bytes of a file that are sent at a time."""


class ModelClient(ServiceClient):
    """Calls the model service."""

    def __init__(self, base_url: str, *, timeout: float = 300.0) -> None:
        super().__init__("model", base_url, timeout=timeout)

    async def chat(self, request: ModelChatRequest) -> ModelChatCompletion:
        """All n samples in one batch."""
        return await self._post(ModelChatCompletion, "/v1/chat/completions", request)

    @asynccontextmanager
    async def stream_chat(self, request: ModelChatRequest) -> AsyncIterator[AsyncIterator[ModelChatChunk]]:
        """The chunks as they come; leaving the block aborts the samples."""
        async with self._events("/v1/chat/completions", request) as events:
            yield (ModelChatChunk.model_validate_json(data) async for data in events)

    async def complete(self, request: ModelCompletionRequest) -> ModelTextCompletion:
        """Text completions."""
        return await self._post(ModelTextCompletion, "/v1/completions", request)

    async def score(self, request: ScoreRequest) -> Scores:
        """Per-token statistics under a mask."""
        return await self._post(Scores, "/v1/score", request)

    async def experts(self) -> ExpertList:
        """The experts of the served model."""
        return await self._get(ExpertList, "/v1/experts")

    async def put_expert(self, owner: str, file: Path) -> Expert:
        """Add or replace an owner's expert, from its file."""
        return await self._call(Expert, "PUT", f"/v1/experts/{segment(owner)}", content=_pieces(file))

    async def delete_expert(self, owner: str) -> None:
        """Remove an owner's expert; returns when it is gone."""
        await self._delete(f"/v1/experts/{segment(owner)}")

    async def models(self) -> ModelList:
        """The names the service answers to."""
        return await self._get(ModelList, "/v1/models")


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as content:
        while piece := await asyncio.to_thread(content.read, _PIECE):
            yield piece
