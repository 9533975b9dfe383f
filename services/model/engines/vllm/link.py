"""The connection to the host, on a thread with an event loop of its own: made, lost, and made again."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from services.model.engines.base import EngineFailed, Notice
from services.model.engines.vllm.hosts import Host
from services.model.engines.vllm.messages import MAX_LINE, Answer, Event, Failed, Hello, Pong, parse, ping

_WINDOW_SECONDS = 600

_PAUSE_SECONDS = 1

PING_SECONDS = 5
_UNANSWERED = 6
"""Pings in a row without any word from the host after which it is lost; it answers them while vLLM computes."""

_log = logging.getLogger(__name__)


class Link:
    """One connection at a time. The callbacks run on the link's thread.

    `check` raises EngineFailed for a greeting that will not do; `take` gets every later event; `lost` hears that all
    that was sent has come to nothing.
    """

    def __init__(
        self,
        host: Host,
        check: Callable[[Hello], None],
        take: Callable[[Answer | Failed], None],
        lost: Callable[[EngineFailed], None],
        notice: Notice,
    ) -> None:
        self._host, self._check, self._take, self._lost, self._notice = host, check, take, lost, notice
        self._loop = asyncio.new_event_loop()
        self._first: Future[Hello] = Future()
        self._main: asyncio.Task[None] | None = None
        self._writer: StreamWriter | None = None
        self._losses: list[float] = []
        self._unanswered = 0
        # entered again by its own thread when a collection of garbage drops a request
        self._ending = threading.RLock()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="vllm", daemon=True)
        self.broken = "the vLLM host is starting"
        """Why nothing can be sent; empty when it can."""

    def start(self, stopping: threading.Event) -> Hello:
        """Connect, however long it takes, unless `stopping` is set before.

        Raises EngineFailed when the host does not start, its greeting will not do, or `stopping` was set.
        """
        self._notice(self._host.phase)
        self._thread.start()
        while not stopping.is_set():
            try:
                return self._first.result(_PAUSE_SECONDS)
            except TimeoutError:
                pass
            except EngineFailed:
                self._thread.join()
                raise
        self.close()
        raise EngineFailed("the model service is stopping")

    def soon(self, work: Callable[[], None]) -> bool:
        """Do this on the link's thread. From any thread; False when that has ended, and nothing happens any more."""
        with self._ending:
            if not self._ended:
                self._loop.call_soon_threadsafe(work)
            return not self._ended

    def send(self, *lines: bytes) -> None:
        """Write messages. On the link's thread; what the socket does not take yet is kept."""
        if self._writer is not None:
            self._writer.writelines(lines)

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do this on the link's thread after a while. On the link's thread."""
        self._loop.call_later(seconds, work)

    def close(self) -> None:
        """Stop the host if it is ours, and the thread."""
        self.soon(self._stop)
        self._thread.join()

    # From here on: on the link's thread.

    def _stop(self) -> None:
        if self._main is not None:
            self._main.cancel()

    def _run(self) -> None:
        self._main = self._loop.create_task(self._serve())
        why = EngineFailed("the model service is stopping")
        fault = False
        try:
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._main)
        except Exception as error:
            _log.exception("the link to the vLLM host ended")
            why, fault = _failure(error), True
        finally:
            self._end(why)
        if fault:
            self._notice(f"failed: {why}")

    def _end(self, error: EngineFailed) -> None:
        """Leave nobody waiting, neither for an answer nor for the first greeting."""
        self._break(error)
        with self._ending:
            self._ended = True
        # what was queued at the last moment hears of it as well
        self._loop.run_until_complete(asyncio.sleep(0))
        if not self._first.done():
            self._first.set_exception(error)
        self._host.close()
        self._loop.close()

    async def _serve(self) -> None:
        """Connect, and again whenever that ends, until cancelled; only the first time must succeed at once."""
        while True:
            try:
                await self._connection()
            except Exception as error:
                failure = _failure(error)
                if failure is not error:
                    _log.exception("the connection to the vLLM host failed")
                self._break(failure)
                if not self._first.done():
                    self._first.set_exception(failure)
                    return
                self._notice(f"{failure}; connecting again")
                await self._pause(failure)

    async def _connection(self) -> None:
        """One connection from its greeting to its end. Raises EngineFailed, or what nobody foresaw; always."""
        reader, self._writer = await self._host.open()
        watch = self._loop.create_task(self._watch(self._writer))
        try:
            await self._converse(reader)
        finally:
            watch.cancel()

    async def _watch(self, writer: StreamWriter) -> None:
        """Give up a host that says nothing. Counted in pings, so that a machine that slept does not blame the host."""
        self._unanswered = 0
        while self._unanswered < _UNANSWERED:
            self._unanswered += 1
            writer.write(ping())
            await asyncio.sleep(PING_SECONDS)
        writer.transport.abort()

    async def _converse(self, reader: StreamReader) -> None:
        hello = await self._event(reader)
        if not isinstance(hello, Hello):
            raise EngineFailed("the vLLM host did not greet; is it something else that listens there?")
        self._check(hello)
        self.broken = ""
        if self._first.done():
            self._notice(None)
        else:
            self._first.set_result(hello)
        while True:
            event = await self._event(reader)
            if not isinstance(event, Hello | Pong):
                self._take(event)

    async def _event(self, reader: StreamReader) -> Event:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            raise EngineFailed(f"the vLLM host sent a line longer than {MAX_LINE} bytes") from error
        except (asyncio.IncompleteReadError, OSError) as error:
            if self._unanswered == _UNANSWERED:
                silent = _UNANSWERED * PING_SECONDS
                raise EngineFailed(f"the vLLM host has not answered for {silent:g} seconds") from error
            raise EngineFailed(await asyncio.to_thread(self._host.lost)) from error
        self._unanswered = 0
        return parse(line)

    def _break(self, error: EngineFailed) -> None:
        self.broken = str(error)
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._lost(error)

    async def _pause(self, error: EngineFailed) -> None:
        """Wait a little; for ever, when it has been lost too often."""
        now = time.monotonic()
        self._losses = [at for at in self._losses if at > now - _WINDOW_SECONDS] + [now]
        if self._host.restarts is not None and len(self._losses) > self._host.restarts:
            self.broken = f"{error}, {len(self._losses)} times in ten minutes; it is not started again"
            self._notice(f"failed: {self.broken}")
            await asyncio.Event().wait()
        await asyncio.sleep(_PAUSE_SECONDS)


def _failure(error: Exception) -> EngineFailed:
    """The error as one that requests can fail with."""
    if isinstance(error, EngineFailed):
        return error
    return EngineFailed(f"the link to the vLLM host failed: {type(error).__name__}: {error}")
