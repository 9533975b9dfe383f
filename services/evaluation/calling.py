"""A suite's own code, called so that no fault of it goes further than its place.

A suite can be anybody's plug-in. Whatever it raises, `sys.exit` too, becomes a `SuiteFailed` that names it; only what
the protocol has it raise goes through, and what kept it from reading the items.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.evaluation.endpoint import EndpointError
from services.evaluation.errors import SuiteFailed
from services.evaluation.store.clean import clean, short
from services.evaluation.suites.base import BadAnswer
from shared.http.errors import CandorError

T = TypeVar("T")

_MEANT = (CandorError, EndpointError, BadAnswer, SQLAlchemyError)

_log = structlog.get_logger()


def tried(suite: str, part: str, call: Callable[[], T]) -> T:
    """What a part of a suite returns. Raises SuiteFailed, and what the protocol has it raise."""
    try:
        return call()
    except _MEANT:
        raise
    except BaseException as fault:
        raise _failed(suite, part, fault) from fault


async def awaited(suite: str, part: str, call: Callable[[], Awaitable[T]]) -> T:
    """The same of a part that is awaited.

    It has a task of its own: in ours SystemExit would end the event loop of all runs, and a suite that cancels itself
    would pass for a run that is cancelled.
    """

    async def apart() -> T:
        try:
            return await call()
        except (*_MEANT, asyncio.CancelledError):
            raise
        except BaseException as fault:
            raise _failed(suite, part, fault) from fault

    ours = asyncio.current_task()
    assert ours is not None, "a coroutine is awaited in a task"
    try:
        found = await asyncio.create_task(apart())
    except BaseException as fault:
        if ours.cancelling():
            # whatever the suite made of our cancellation
            raise asyncio.CancelledError from fault
        if isinstance(fault, asyncio.CancelledError):
            raise _failed(suite, part, fault) from fault
        raise
    if ours.cancelling():
        # the suite took our cancellation for its own and went on
        raise asyncio.CancelledError
    return found


def _failed(suite: str, part: str, fault: BaseException) -> SuiteFailed:
    _log.error("a suite failed", suite=suite, part=part, exc_info=fault)
    return SuiteFailed(suite, part, words(fault))


def words(fault: BaseException) -> str:
    """What an exception says of itself, if it can."""
    kind = type(fault).__name__
    try:
        return str(clean(short(f"{kind}: {fault}")))
    except BaseException:
        return kind
