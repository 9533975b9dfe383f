"""One client's connection: its requests, many at once, and what becomes of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

from candor_vllm.host.model import Model
from candor_vllm.host.wire import (
    MAX_LINE,
    MAX_SEQUENCES,
    Cancel,
    Event,
    Failed,
    Generate,
    Invalid,
    Ping,
    Pong,
    Route,
    Routed,
    Score,
    Scored,
    check_finite,
    decode,
    encode,
    id_of,
)

_log = logging.getLogger(__name__)


class Connection:
    """Serves one client until it goes; then all that it asked for is aborted."""

    under_way = 0
    """Over all connections."""

    def __init__(self, model: Model, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._model, self._reader, self._writer = model, reader, writer
        self._tasks: dict[str, dict[int, asyncio.Task[None]]] = {}

    async def serve(self) -> None:
        """Greet, then read requests until the client closes. Never raises for what a client does."""
        try:
            await self._send(self._model.hello)
            while line := await self._line():
                # an answer that waits for a client that does not read also stops the reading of its requests
                await self._take(line)
        except ConnectionError:
            pass
        finally:
            tasks = [task for own in self._tasks.values() for task in own.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._writer.close()

    async def _line(self) -> bytes:
        """The next line, empty at the end; a last one without its newline was cut off and counts for nothing."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return b""
        except asyncio.LimitOverrunError:
            await self._send(Failed(None, "invalid", f"a line is longer than {MAX_LINE} bytes; the connection ends"))
            return b""

    async def _take(self, line: bytes) -> None:
        try:
            match decode(line):
                case Ping():
                    await self._send(Pong(Connection.under_way))
                case Cancel() as request:
                    self._cancel(request.id, request.choice)
                case Generate() as request:
                    self._start(request, {choice: self._generate(request, choice) for choice in range(request.n)})
                case Score() | Route() as request:
                    self._start(request, {0: self._text(request)})
        except Invalid as error:
            await self._send(Failed(id_of(line), "invalid", str(error)))
        except _Busy as error:
            await self._send(Failed(id_of(line), "busy", str(error)))

    def _start(self, request: Generate | Score | Route, work: dict[int, Coroutine[Any, Any, None]]) -> None:
        try:
            self._model.check(request)
            if request.id in self._tasks:
                raise Invalid(f"id {request.id!r} is under way already")
            if Connection.under_way + len(work) > MAX_SEQUENCES:
                raise _Busy(f"{Connection.under_way} sequences are under way; {MAX_SEQUENCES} are the most")
        except ValueError:
            for coroutine in work.values():
                coroutine.close()
            raise
        Connection.under_way += len(work)
        self._tasks[request.id] = {}
        for choice, coroutine in work.items():
            task = asyncio.create_task(coroutine)
            self._tasks[request.id][choice] = task
            task.add_done_callback(partial(self._ended, request.id, choice))

    def _ended(self, request: str, choice: int, _: asyncio.Task[None]) -> None:
        Connection.under_way -= 1
        self._tasks[request].pop(choice)
        if not self._tasks[request]:
            del self._tasks[request]

    def _cancel(self, request: str, choice: int | None = None) -> None:
        own = self._tasks.get(request, {})
        for task in own.values() if choice is None else [own[choice]] if choice in own else []:
            task.cancel()

    async def _generate(self, request: Generate, choice: int) -> None:
        try:
            async for event in self._model.generate(request, choice):
                check_finite(event)
                await self._send(event)
        except Exception as error:
            await self._fail(request.id, error)

    async def _text(self, request: Score | Route) -> None:
        try:
            if isinstance(request, Score):
                event: Scored | Routed = await self._model.score(request)
            else:
                event = await self._model.route(request)
            check_finite(event)
            await self._send(event)
        except Exception as error:
            await self._fail(request.id, error)

    async def _fail(self, request: str, error: Exception) -> None:
        """Tell why, once for all samples of a request; the others end."""
        if isinstance(error, ConnectionError):
            return
        _log.error("request %s failed", request, exc_info=error)
        current = asyncio.current_task()
        for task in self._tasks.get(request, {}).values():
            if task is not current:
                task.cancel()
        await self._send(Failed(request, "failed", f"{type(error).__name__}: {error}"))

    async def _send(self, event: Event) -> None:
        self._writer.write(encode(event))
        await self._writer.drain()


class _Busy(ValueError):
    """More is under way than the host takes."""
