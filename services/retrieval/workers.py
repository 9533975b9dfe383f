"""The threads in which searches run, so that the event loop never waits for one."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from shared.http.errors import Overloaded

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """A few threads with a queue that has an end: who comes when it is full is told so, instead of waiting in vain."""

    def __init__(self, threads: int, queue: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="retrieval")
        self._limit = threads + queue
        self.unfinished = 0
        """Calls that have not ended, under way or not."""

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it in a thread. Raises Overloaded."""
        if self.unfinished >= self._limit:
            raise Overloaded(f"{self._limit} calls are under way or waiting. Try again.", retry_after=1)
        self.unfinished += 1
        try:
            context = contextvars.copy_context()  # the request's id, for the log
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, lambda: context.run(call, *args, **kwargs)
            )
        finally:
            self.unfinished -= 1

    def close(self) -> None:
        """Let the calls under way end, and drop those that wait."""
        self._pool.shutdown(wait=True, cancel_futures=True)
