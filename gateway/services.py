"""What a request needs: the policy, a client of each service, and the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.ledger.store import Ledger
from gateway.pipeline.served import ServedModel
from gateway.policy import Policy
from gateway.settings import GatewaySettings
from gateway.verify.verifiers import Verifiers
from shared.clients.evaluation import EvaluationClient
from shared.clients.model import ModelClient
from shared.clients.retrieval import RetrievalClient
from shared.clients.tracing import TracingClient
from shared.contracts.base import Readiness
from shared.contracts.model import ModelCompletionRequest, ModelTextCompletion


class CompletingModelClient(ModelClient):
    """The model's client, and text completions as a stream."""

    @asynccontextmanager
    async def stream_complete(
        self, request: ModelCompletionRequest
    ) -> AsyncIterator[AsyncIterator[ModelTextCompletion]]:
        """The chunks as they come; leaving the block aborts the completion."""
        async with self._events("/v1/completions", request) as events:
            yield (ModelTextCompletion.model_validate_json(data) async for data in events)


@dataclass(frozen=True)
class Services:
    """One for each app, on `app.state.services`."""

    policy: Policy
    model: CompletingModelClient
    served: ServedModel
    retrieval: RetrievalClient
    tracing: TracingClient
    evaluation: EvaluationClient
    ledger: Ledger
    verifiers: Verifiers

    @classmethod
    def connect(cls, settings: GatewaySettings, policy: Policy, ledger: Ledger) -> Services:
        """Clients at the addresses of the settings. Nothing is called yet."""
        model = CompletingModelClient(settings.model_url)
        return cls(
            policy,
            model,
            ServedModel(model, settings.thinking),
            RetrievalClient(settings.retrieval_url),
            TracingClient(settings.tracing_url),
            EvaluationClient(settings.evaluation_url),
            ledger,
            Verifiers(settings.verifier_hosts, run_code=settings.run_code),
        )

    async def readiness(self) -> dict[str, Readiness]:
        """What each service says of itself, asked at once."""
        clients = (self.model, self.retrieval, self.tracing, self.evaluation)
        answers = await asyncio.gather(*(client.readiness() for client in clients))
        return {client.name: answer for client, answer in zip(clients, answers, strict=True)}

    async def close(self) -> None:
        """Close the connections of every client and of the ledger."""
        for client in (self.model, self.retrieval, self.tracing, self.evaluation):
            await client.close()
        await self.verifiers.close()
        await self.ledger.close()
