"""Who does the work on shards: this process one after another, or a cluster (`cluster`).

A stage is written once, as work on one shard that leaves its result in a file. Whoever does it, and in what order, the
files are the same, and so is the datastore.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
Task = TypeVar("Task")

Advance = Callable[[int], None]
"""Is told how much more is done, in the stage's units."""

Work = Callable[[Task, Advance], None]


class Scheduler(Protocol):
    """Does a stage's work on its shards."""

    def run(self, make: Callable[[], Work[Task]], tasks: Sequence[Task], advance: Advance) -> None:
        """Do what `make` gives for each task, and return when all is done. `make` is called once in each process that
        works, and not at all without tasks; it and the tasks can be pickled. Raises what the work raises."""
        ...


class Here:
    """One task after another, in this thread."""

    def run(self, make: Callable[[], Work[Task]], tasks: Sequence[Task], advance: Advance) -> None:
        """As Scheduler.run."""
        if tasks:
            work = make()
            for task in tasks:
                work(task, advance)


class Once(Generic[T]):
    """Makes a thing when it is first asked for, once in each process: pickled, it is as if it had not been asked."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: list[T] = []

    def __call__(self) -> T:
        """The thing."""
        if not self._made:
            self._made.append(self._make())
        return self._made[0]

    def __reduce__(self) -> tuple[type[Once[T]], tuple[Callable[[], T]]]:
        return Once, (self._make,)
