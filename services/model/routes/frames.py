"""OpenAI's stream: a frame a chunk, an error as its last word if need be, and always `[DONE]`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from pydantic import BaseModel

from shared.http.errors import CandorError, error_body
from shared.http.sse import DONE, event


async def frames(chunks: AsyncGenerator[BaseModel]) -> AsyncIterator[str]:
    """Server-sent events of these chunks; an error in mid-stream becomes an event, since the 200 is long sent."""
    try:
        async with aclosing(chunks) as open_chunks:
            async for chunk in open_chunks:
                yield event(chunk.model_dump_json())
    except CandorError as error:
        yield event(error_body(error).model_dump_json())
    yield DONE
