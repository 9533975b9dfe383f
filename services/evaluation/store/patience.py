"""Call the store through a short absence of its database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

P = ParamSpec("P")
T = TypeVar("T")

_PAUSE_SECONDS = 1.0

_log = structlog.get_logger()


async def patiently(seconds: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The call in a thread, again each second while the database is away. Every change of the store is safe to repeat.

    Raises OperationalError or InterfaceError when it has been away for longer than `seconds`.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return await asyncio.to_thread(call, *args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() + _PAUSE_SECONDS > until:
                raise
            _log.warning("the evaluation database does not answer", error=str(error.orig))
            await asyncio.sleep(_PAUSE_SECONDS)
