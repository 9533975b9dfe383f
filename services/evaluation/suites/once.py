"""What is asked once in a run, since it is the same for many of its items: what a judge makes of known pairs, say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from services.evaluation.endpoint import Endpoint

T = TypeVar("T")


@dataclass
class _Asked(Generic[T]):
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    found: T | None = None


class Once(Generic[T]):
    """By run, whose endpoint it is, and name. Items that come while it is asked wait; if it failed the next one asks.

    It is kept in memory only: a process that goes on with a killed run asks once more.
    """

    def __init__(self) -> None:
        self._runs = WeakKeyDictionary[Endpoint, dict[str, _Asked[T]]]()

    async def get(self, endpoint: Endpoint, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` gives, or gave before. Raises what it raises."""
        asked: _Asked[T] = self._runs.setdefault(endpoint, {}).setdefault(name, _Asked())
        async with asked.lock:
            if asked.found is None:
                asked.found = await ask()
            return asked.found
