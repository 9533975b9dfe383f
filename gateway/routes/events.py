"""Streams in OpenAI's form: errors before the first chunk are answers with a status, later ones are events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from gateway.pipeline.faults import unavailable
from shared.clients.base import ServiceError
from shared.http.disconnect import until_gone
from shared.http.errors import CandorError, error_body
from shared.http.request_id import request_id
from shared.http.sse import DONE, event, sse

PATIENCE_SECONDS = 10.0
"""How long the headers wait for the first chunk: proxies and clients give up on a silent connection."""

_log = structlog.get_logger("candor.gateway")


async def openai_events(request: Request, chunks: AsyncGenerator[str]) -> StreamingResponse:
    """The response of a stream of JSON chunks. Raises whatever comes before the first of them."""
    source = _Source(chunks)
    try:
        await until_gone(request, source.begun())
    except BaseException:
        source.stop()
        raise
    response = sse(_frames(source))
    # runs when the client has gone too, wherever the frames stood then
    response.background = BackgroundTask(source.stop)
    return response


async def _frames(source: _Source) -> AsyncGenerator[str]:
    try:
        while (item := await source.next()) is not None:
            if isinstance(item, Exception):
                yield event(error_body(_fault(item)).model_dump_json())
                break
            yield event(item)
        yield DONE
    finally:
        source.stop()


def _fault(error: Exception) -> CandorError:
    if isinstance(error, CandorError):
        return error
    if isinstance(error, ServiceError):
        return unavailable(error)
    _log.error("a stream failed", request_id=request_id(), exc_info=error)
    return CandorError(f"The server failed in a way it did not foresee. Its log has the cause under {request_id()}.")


class _Source:
    """Draws the chunks in a task of its own.

    Starlette cancels a response whose client has gone again and again, which would interrupt the closing of the
    connection upstream; this task is cancelled once, and closes it.
    """

    def __init__(self, chunks: AsyncGenerator[str]) -> None:
        self._items: asyncio.Queue[str | Exception | None] = asyncio.Queue(maxsize=64)
        self._first: str | None = None
        self._task = asyncio.create_task(self._draw(chunks))
        _drawing.add(self._task)
        self._task.add_done_callback(_drawing.discard)

    async def begun(self) -> None:
        """Wait for the first chunk, but not for longer than a client does. Raises the error that came instead."""
        try:
            first = await asyncio.wait_for(self._items.get(), PATIENCE_SECONDS)
        except TimeoutError:
            return
        if isinstance(first, Exception):
            raise first
        self._first = first
        if first is None:
            self._items.put_nowait(None)

    async def next(self) -> str | Exception | None:
        """The next chunk, the error that ended the stream, or None at its end."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await self._items.get()

    def stop(self) -> None:
        """No one wants the rest."""
        self._task.cancel()

    async def _draw(self, chunks: AsyncGenerator[str]) -> None:
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    await self._items.put(chunk)
            await self._items.put(None)
        except Exception as error:
            await self._items.put(error)


_drawing: set[asyncio.Task[None]] = set()
"""The event loop itself does not keep its tasks alive."""
