"""The model service, asked with the experts of a request's owners and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from shared.clients.base import ServiceError
from shared.clients.model import ModelClient
from shared.contracts.model import PUBLIC, ExpertMask, ModelChatRequest, ModelChoice
from shared.contracts.openai import Message
from shared.http.errors import CandorError
from shared.owners import Owner

_AT_ONCE = 8
"""Calls of all requests together that wait for the model: more would only fill its queue."""


class ConsentNotApplied(CandorError):
    """The model computed, or may have computed, with experts of owners that take no part: nothing is answered."""

    status, code = 503, "consent_not_applied"

    def __init__(self, wrong: Collection[str]) -> None:
        names = ", ".join(sorted(wrong))
        super().__init__(f"The model service did not apply the experts as asked ({names}). Nothing is answered.")


@dataclass(frozen=True)
class Mask:
    """The served model's name and the experts that may compute. `revision` changes with either, and with what the
    model says of these experts."""

    model: str
    experts: tuple[str, ...]
    anchors: frozenset[str]
    """Experts that the model calls public and that are no owner's: always on."""
    revision: str


class LanguageModel:
    """The model service for the requests of one event loop."""

    def __init__(self, client: ModelClient, registered: Mapping[str, Owner]) -> None:
        """`registered` are the owners of the registry by id: an expert it gives to no owner is never asked for."""
        self._client = client
        self._registered = registered
        self._owned = {expert for owner in registered.values() for expert in owner.experts}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def mask(self, owners: Collection[str]) -> Mask:
        """The experts of these owners that the model has, and the public one.

        Those that are always on are not asked for: the model's masks and routing have them for a part of the public
        one, and would hide it. Raises ServiceError, and ConsentNotApplied where one of them is of another owner.
        """
        listing = await self._client.experts()
        permitted = {expert for name in owners if name in self._registered for expert in self._registered[name].experts}
        always = {expert.id for expert in listing.data if expert.public and expert.id != PUBLIC}
        if wrong := (always & self._owned) - permitted:
            raise ConsentNotApplied(wrong)
        asked = (permitted - always) | {PUBLIC}
        allowed = [expert for expert in listing.data if expert.id in asked]
        anchors = {expert.id for expert in listing.data if expert.public} - self._owned
        revision = "\n".join([listing.model, listing.architecture, *(expert.model_dump_json() for expert in allowed)])
        return Mask(listing.model, tuple(expert.id for expert in allowed), frozenset(anchors), revision)

    async def chat(self, mask: Mask, content: str, *, tokens: int, begun: str = "", candidates: int = 0) -> ModelChoice:
        """The likeliest answer to a user's turn, of at most `tokens` tokens; it continues `begun`. With `candidates`
        its log-probabilities have so many tokens at each place.

        Raises ServiceError, ConsentNotApplied.
        """
        messages = [Message(role="user", content=content)]
        if begun:
            messages.append(Message(role="assistant", content=begun))
        request = ModelChatRequest(
            model=mask.model,
            messages=messages,
            max_tokens=tokens,
            temperature=0.0,
            candor=ExpertMask(experts=[*mask.experts], continue_final_message=bool(begun)),
        )
        if candidates:
            request.logprobs, request.top_logprobs = True, candidates
        async with self._turns:
            answer = await self._client.chat(request)
        if not answer.choices:
            raise ServiceError("model", "an answer without a choice")
        choice = answer.choices[0]
        used = {expert for expert, share in choice.candor.routing.items() if share > 0}
        if wrong := {*answer.candor.experts, *used} - {*mask.experts} - mask.anchors:
            raise ConsentNotApplied(wrong)
        return choice
