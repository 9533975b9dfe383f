"""Experts on their way in and out of a running engine."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from services.model.engines.base import EngineFailed, NewExpert


@dataclass(eq=False)
class Addition:
    """An expert that is to join."""

    expert: NewExpert
    future: Future[int] = field(default_factory=Future)

    def fail(self, error: EngineFailed) -> None:
        """It does not."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


@dataclass(eq=False)
class Removal:
    """An expert that is to leave once nobody uses it, and at `deadline` (of the monotonic clock) at the latest."""

    number: int
    deadline: float
    future: Future[None] = field(default_factory=Future)

    def __post_init__(self) -> None:
        # begun, so that who waits cannot cancel it: a consent that was withdrawn stays withdrawn
        self.future.set_running_or_notify_cancel()

    def overdue(self) -> bool:
        """Whether nobody is to be waited for any more."""
        return time.monotonic() >= self.deadline

    def fail(self, error: EngineFailed) -> None:
        """The engine ended before it."""
        self.future.set_exception(error)


class Changes:
    """What is to happen to the experts of an engine. True while there is something. Guarded by the engine's lock."""

    def __init__(self) -> None:
        self._additions: list[Addition] = []
        self.leaving: dict[int, Removal] = {}

    def __bool__(self) -> bool:
        return bool(self._additions or self.leaving)

    def add(self, expert: NewExpert) -> Addition:
        """An expert is to join."""
        self._additions.append(Addition(expert))
        return self._additions[-1]

    def remove(self, number: int, patience: float) -> Removal:
        """An expert is to leave, in so many seconds at the latest."""
        self.leaving[number] = Removal(number, time.monotonic() + patience)
        return self.leaving[number]

    def additions(self) -> list[Addition]:
        """Take those that are to join."""
        taken, self._additions = self._additions, []
        return taken

    def clear(self) -> list[Addition | Removal]:
        """Take everything."""
        taken: list[Addition | Removal] = [*self._additions, *self.leaving.values()]
        self._additions, self.leaving = [], {}
        return taken
