"""Server-sent events: frames, a keep-alive ping, and the headers that stop proxies from buffering."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi.responses import StreamingResponse

PING_SECONDS = 15.0
DONE = "data: [DONE]\n\n"
"""How OpenAI ends a stream."""


def event(data: str, *, id: str | None = None, name: str | None = None) -> str:
    """One frame. `data` may have several lines."""
    head = (f"id: {id}\n" if id is not None else "") + (f"event: {name}\n" if name is not None else "")
    return head + "".join(f"data: {line}\n" for line in data.split("\n")) + "\n"


def sse(frames: AsyncIterator[str]) -> StreamingResponse:
    """A response of these frames with a comment as a ping whenever none came for 15 seconds."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_with_pings(frames), media_type="text/event-stream", headers=headers)


async def _with_pings(frames: AsyncIterator[str]) -> AsyncIterator[str]:
    pending: asyncio.Task[str] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(frames))
            done, _ = await asyncio.wait({pending}, timeout=PING_SECONDS)
            if not done:
                yield ": ping\n\n"
                continue
            finished, pending = pending, None
            try:
                yield finished.result()
            except StopAsyncIteration:
                return
    finally:
        # the client has gone or the frames have ended: let the source clean up (abort its samples)
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
        close = getattr(frames, "aclose", None)
        if close is not None:
            await close()
