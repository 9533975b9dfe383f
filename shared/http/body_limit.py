"""A limit on the size of a request's body, told in the path's own error body."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.errors import TooLarge, render

MAX_BODY_BYTES = 8 << 20
"""No request of ours is larger; a body is read whole, so that without a limit one client could fill the memory."""


class BodyLimitMiddleware:
    """Refuses a body by the length its header states, or else when so much of it has come."""

    def __init__(self, app: ASGIApp, uploads: Mapping[str, int]) -> None:
        """`uploads`: beginnings of paths whose bodies go to a file as they come, and their own limits in bytes."""
        self._app, self._uploads = app, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        detail = f"The body is too large: at most {limit:,} bytes are read."
        stated = Headers(scope=scope).get("content-length", "")
        if stated.isdecimal() and int(stated) > limit:
            await render(scope["path"], TooLarge(detail))(scope, receive, send)
            return
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                # FastAPI passes this one on from the reading of a body, and makes a 400 of any other
                raise HTTPException(TooLarge.status, detail)
            return message

        await self._app(scope, limited, send)

    def _limit(self, path: str) -> int:
        own = [limit for beginning, limit in self._uploads.items() if path.startswith(beginning)]
        return max(own, default=MAX_BODY_BYTES)
