"""Processes for checks that may never end, or take all memory: those are killed, and others start in their place."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

from gateway.verify.checks import prepare
from gateway.verify.faults import VerifierFailed

Result = TypeVar("Result")

WORKERS = 2
SECONDS = 10.0
"""Of one check. math-verify gives up a comparison after five by itself, unless it is deep in one operation."""


class Pool:
    """Starts its processes at the first check."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._pool: ProcessPool | None = None

    async def run(self, check: Callable[..., Result], *arguments: object) -> Result:
        """The check's result. Raises VerifierFailed when it raises, takes too long or its process dies."""
        try:
            future = self._begun().schedule(check, args=arguments, timeout=self._seconds)
        except RuntimeError:
            # it broke, and stays broken
            self._pool = None
            future = self._begun().schedule(check, args=arguments, timeout=self._seconds)
        try:
            result: Result = await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise VerifierFailed(f"the check took longer than {self._seconds:g} s") from error
        except ProcessExpired as error:
            raise VerifierFailed("the check ended its process") from error
        except MemoryError as error:
            raise VerifierFailed("the check took too much memory") from error
        except Exception as error:
            # whatever it is, it was caused by the sample, the pattern or the schema
            raise VerifierFailed(f"{type(error).__name__}: {error}") from error
        return result

    def _begun(self) -> ProcessPool:
        if self._pool is None:
            # not forked: the gateway has threads
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPool(max_workers=WORKERS, initializer=prepare, initargs=(os.getpid(),), context=context)
        return self._pool

    async def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            await asyncio.to_thread(self._pool.join)
