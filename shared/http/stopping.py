"""A request that is cut off because the server stops gets a 503: whoever asked may ask again, here or elsewhere."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.errors import CandorError, render


class Stopping(CandorError):
    """The server was told to stop before there was an answer."""

    status, code = 503, "stopping"


class StoppingMiddleware:
    """Answers for a request that the server cancels, which would be a 500 otherwise: an error of the request's own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except asyncio.CancelledError:
            if scope["type"] != "http" or begun:
                raise
            stopping = Stopping("The server is stopping. Ask again when it is back.", retry_after=5)
            await render(scope["path"], stopping)(scope, receive, send)
