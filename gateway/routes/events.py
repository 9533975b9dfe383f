"""Streams in OpenAI's form: errors before the first chunk are answers with a status, later ones are events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import structlog
from fastapi import Request
from fastapi.responses import StreamingResponse

from gateway.pipeline.faults import unavailable
from gateway.routes.disconnect import until_gone
from shared.clients.base import ServiceError
from shared.http.errors import CandorError, error_body
from shared.http.request_id import request_id
from shared.http.sse import DONE, event, sse

PATIENCE_SECONDS = 10.0
"""How long the headers wait for the first chunk: proxies and clients give up on a silent connection."""

_log = structlog.get_logger("candor.gateway")


async def openai_events(request: Request, chunks: AsyncGenerator[str]) -> StreamingResponse:
    """The response of a stream of JSON chunks. Raises whatever comes before the first of them."""
    first = asyncio.ensure_future(anext(chunks))
    try:
        await until_gone(request, _wait(first))
    except BaseException:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        raise
    if first.done():
        first.result()
    return sse(_frames(first, chunks))


async def _wait(first: asyncio.Future[str]) -> None:
    await asyncio.wait({first}, timeout=PATIENCE_SECONDS)


async def _frames(first: asyncio.Future[str], chunks: AsyncGenerator[str]) -> AsyncGenerator[str]:
    try:
        with suppress(StopAsyncIteration):
            yield event(await first)
            while True:
                yield event(await anext(chunks))
    except (CandorError, ServiceError) as error:
        fault = error if isinstance(error, CandorError) else unavailable(error)
        yield event(error_body(fault).model_dump_json())
    except Exception:
        _log.exception("a stream failed", request_id=request_id())
        fault = CandorError(
            f"The server failed in a way it did not foresee. Its log has the cause under {request_id()}."
        )
        yield event(error_body(fault).model_dump_json())
    finally:
        first.cancel()
        # a generator that is still running cannot be closed
        await asyncio.gather(first, return_exceptions=True)
        await chunks.aclose()
    yield DONE
