"""Request ids: taken from the client when they are sane, made otherwise, echoed, and known to logs and errors."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-request-id"
REQUEST_ID = "request_id"
"""Where the id lies in the state of a request's scope, for those that run outside of the middleware."""
_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """The id of the request being served; empty outside of one."""
    return _current.get()


class RequestIdMiddleware:
    """Sets the request id for the time of a request and echoes it in the response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(HEADER, "")
        identity = sent if _SANE.fullmatch(sent) else "req-" + secrets.token_hex(12)
        scope.setdefault("state", {})[REQUEST_ID] = identity
        token = _current.set(identity)

        async def echo(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = identity
            await send(message)

        try:
            await self._app(scope, receive, echo)
        finally:
            _current.reset(token)
