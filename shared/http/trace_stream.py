"""`/v1/trace/stream`: a text is traced while it is written. Lines of JSON come in, server-sent events go out.

The tracing service and the gateway share it: what differs is who traces.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.contracts.tracing import Trace, TraceRequest
from shared.http.errors import CandorError, InvalidRequest, TooLarge
from shared.http.sse import event

LINE_BYTES = 1 << 20
"""No line is longer."""

OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}

Line = TypeVar("Line", bound=BaseModel)
Tracing = Callable[[TraceRequest], Awaitable[Trace]]


class Piece(BaseModel):
    """Every line but the first."""

    model_config = ConfigDict(extra="forbid")

    text: str


async def trace_stream(request: Request, trace: Tracing, most: int) -> Response:
    """Answer a stream of pieces. The first line is a TraceRequest whose `text` is the first piece.

    Each sentence or line of the text that is complete is traced by itself, and told in an event `spans`; `start` and
    `end` count from the beginning of the whole. When the text has ended, the event `trace` is what /v1/trace answers
    for the whole. A fault after the first line is an event `error`; so is a text of more than `most` code points, of
    which nothing further is traced. Raises InvalidRequest for the first line.
    """
    lines = _lines(request)
    first = await anext(lines, None)
    if first is None:
        raise InvalidRequest(
            'There is no line: send {"text": "..."} for each piece of the text, a line each.', field="text"
        )
    asked = _parsed(TraceRequest, first, 1)
    return _WhileReading(_frames(asked, lines, trace, most))


class Stretches:
    """The complete sentences and lines of a text that comes in pieces: no span crosses their edges."""

    def __init__(self, delimiters: str) -> None:
        self.text = ""
        self._delimiters, self._told = delimiters, 0

    def add(self, piece: str) -> Iterator[tuple[int, str]]:
        """What is complete now, with where it begins in the text."""
        looked = max(self._told + 1, len(self.text) - 2)
        self.text += piece
        for place in range(looked, len(self.text) - 1):
            if self._is_edge(place):
                start, self._told = self._told, place
                yield start, self.text[start:place]

    def _is_edge(self, place: int) -> bool:
        """Whether a word begins at a place, or after the space there, that follows a delimiter: what comes later can
        change no token before it."""
        before, here, after = self.text[place - 1], self.text[place], self.text[place + 1]
        if before not in self._delimiters:
            return False
        if before == "\n":
            return not here.isspace()
        return here == " " and not after.isspace()


class EventStream(Response):
    """What documents the answer's media type."""

    media_type = "text/event-stream"


class _WhileReading(EventStream):
    """Sends frames while the request is still being read, which StreamingResponse would take for itself."""

    def __init__(self, frames: AsyncIterator[str]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's)
        """Serve it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for frame in self._frames:
            await send({"type": "http.response.body", "body": frame.encode("utf-8"), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _frames(asked: TraceRequest, lines: AsyncIterator[bytes], trace: Tracing, most: int) -> AsyncIterator[str]:
    stretches = Stretches(asked.delimiters)
    try:
        _check(len(asked.text), most)
        for start, text in stretches.add(asked.text):
            yield await _so_far(asked, start, text, trace)
        number = 1
        async for line in lines:
            number += 1
            piece = _parsed(Piece, line, number).text
            _check(len(stretches.text) + len(piece), most)
            for start, text in stretches.add(piece):
                yield await _so_far(asked, start, text, trace)
        whole = await trace(asked.model_copy(update={"text": stretches.text}))
        yield event(whole.model_dump_json(), name="trace")
    except ClientDisconnect:
        return
    except CandorError as error:
        yield _error(error)
    except HTTPException as error:  # the body's limit
        yield _error(TooLarge(str(error.detail)))


def _error(error: CandorError) -> str:
    return event(json.dumps({"code": error.code, "status": error.status, "detail": error.detail}), name="error")


def _check(length: int, most: int) -> None:
    """Raises TooLarge: where the whole will be refused, its sentences are not traced before."""
    if length > most:
        raise TooLarge(f"The text has more than {most:,} code points by now, and no more are taken. Send it in parts.")


async def _so_far(asked: TraceRequest, start: int, text: str, trace: Tracing) -> str:
    found = await trace(asked.model_copy(update={"text": text, "approximate": False}))
    moved = {"start": start, "end": start}
    spans = [
        span.model_copy(update={edge: getattr(span, edge) + by for edge, by in moved.items()}) for span in found.spans
    ]
    return event(found.model_copy(update={"spans": spans}).model_dump_json(), name="spans")


async def _lines(request: Request) -> AsyncIterator[bytes]:
    """The lines of a body that are not empty, as they come."""
    held = b""
    async for chunk in request.stream():
        *complete, held = (held + chunk).split(b"\n")
        for line in complete:
            if line.strip():
                yield line
        if len(held) > LINE_BYTES:
            raise InvalidRequest(
                f"A line is longer than {LINE_BYTES:,} bytes: send the text in smaller pieces.", field="text"
            )
    if held.strip():
        yield held


def _parsed(kind: type[Line], line: bytes, number: int) -> Line:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "text"
        raise InvalidRequest(f"Line {number}: {where}: {fault['msg']}.", field=where) from error
