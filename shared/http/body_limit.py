"""A limit on the size of a request's body, told in the path's own error body."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.errors import TooLarge, render

MAX_BODY_BYTES = 8 << 20
"""No request of ours is larger; a body is read whole, so that without a limit one client could fill the memory."""
_DETAIL = f"The body is too large: at most {MAX_BODY_BYTES:,} bytes are read."


class BodyLimitMiddleware:
    """Refuses a body by the length its header states, or else when so much of it has come."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        stated = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if stated.isdecimal() and int(stated) > MAX_BODY_BYTES:
            await render(scope["path"], TooLarge(_DETAIL))(scope, receive, send)
            return
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                # FastAPI passes this one on from the reading of a body, and makes a 400 of any other
                raise HTTPException(TooLarge.status, _DETAIL)
            return message

        await self._app(scope, limited, send)
