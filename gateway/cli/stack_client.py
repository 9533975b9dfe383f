"""How commands reach a running stack: the gateway's address, and one client for what they call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import httpx
import typer

from gateway.cli.failure import Failure
from shared.clients.base import ServiceClient, ServiceError
from shared.contracts.candor import ChatAnswer, ChatRequest
from shared.contracts.tracing import Trace, TraceRequest

Answer = TypeVar("Answer")

DEFAULT_URL = "http://127.0.0.1:8080"

Url = Annotated[str, typer.Option("--url", envvar="CANDOR_URL", help="The gateway's address.", metavar="URL")]


class GatewayClient(ServiceClient):
    """Calls the gateway."""

    def __init__(self, base_url: str, *, timeout: float = 300.0) -> None:
        super().__init__("gateway", base_url, timeout=timeout)

    async def ask(self, request: ChatRequest) -> ChatAnswer:
        """An answer with its report."""
        return await self._post(ChatAnswer, "/v1/chat/completions", request)

    async def trace(self, request: TraceRequest) -> Trace:
        """Where a text stands verbatim."""
        return await self._post(Trace, "/v1/trace", request)


def call(url: str, what: Callable[[GatewayClient], Awaitable[Answer]]) -> Answer:
    """One call of the gateway, from a command. Raises Failure when there is no stack or it refuses."""

    async def once() -> Answer:
        gateway = GatewayClient(url)
        try:
            return await what(gateway)
        finally:
            await gateway.close()

    try:
        return asyncio.run(once())
    except ServiceError as error:
        raise Failure(explain(error, url)) from error


def explain(error: ServiceError, url: str) -> str:
    """What a call's failure means to the user: in the service's words, or that there is no stack to call."""
    if isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol):
        return f"No Candor stack answers at {url}. Start one with: candor up"
    return error.detail
