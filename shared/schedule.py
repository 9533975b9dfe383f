"""Who does the work on shards: this process one after another, several processes, or a cluster (`cluster`).

A stage is written once, as work on one shard that leaves its result in a file. Whoever does it, and in what order, the
files are the same, and so is what is built of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from typing import Any, Generic, Protocol, TypeVar

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


class Processes:
    """Several tasks at a time, each in a process of its own with one thread."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, make: Callable[[], Work[Task]], tasks: Sequence[Task], advance: Advance) -> None:
        """As Scheduler.run; `advance` is told when a task is done."""
        workers = min(self._workers, len(tasks))
        if workers < 2:
            Here().run(make, tasks, advance)
            return
        before = {name: os.environ.get(name) for name in _ONE_THREAD}
        os.environ |= _ONE_THREAD  # libraries read it when the new processes load them
        try:
            with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (make,)) as pool:
                try:
                    for done in as_completed([pool.submit(_do, task) for task in tasks]):
                        advance(done.result())
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


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


_ONE_THREAD = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
_working: list[Work[Any]] = []


def _begin(make: Callable[[], Work[Any]]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _working[:] = [make()]


def _end_with_parent() -> None:
    """A parent that is killed cannot tell; each worker holds the queue open that it waits at, and would for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(task: object) -> int:
    """How much one task did, in a process that has begun."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count

    _working[0](task, advance)
    return done
