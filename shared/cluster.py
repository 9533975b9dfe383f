"""The work on shards, done by a Ray cluster.

All of its machines must see the data folder under the same path: a worker reads an owner's files and leaves its shard
there, so that a build that is killed finds it again, whether it goes on with Ray or without.
"""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from shared.schedule import Advance, Task, Work

_OBJECTS = 256 << 20
"""Bytes for the texts under way in a cluster that is started here."""

_SECONDS = 5
"""To wait for a cluster's port: Ray itself would try for minutes."""


class NoCluster(Exception):
    """Ray is not installed, or there is no cluster at the address."""


class Cluster:
    """Runs tasks on Ray Data: a pool of actors, one a processor, that hold what the work needs."""

    def run(self, make: Callable[[], Work[Task]], tasks: Sequence[Task], advance: Advance) -> None:
        """As Scheduler.run; `advance` is told when a task is done."""
        import ray  # noqa: PLC0415 (an extra)

        if not tasks:
            return
        workers = min(len(tasks), max(int(ray.cluster_resources().get("CPU", 1)), 1))
        pickled = [{"task": pickle.dumps(task)} for task in tasks]
        done = ray.data.from_items(pickled, override_num_blocks=len(tasks)).map_batches(
            _Worker,
            fn_constructor_args=(make,),
            batch_size=1,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
        )
        try:
            for row in done.iter_rows():
                advance(int(row["done"]))
        except ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from error


class _Worker:
    """One actor."""

    def __init__(self, make: Callable[[], Work[Any]]) -> None:
        self._work = make()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Of a batch of pickled tasks, how much each did."""
        return {"done": [self._do(pickle.loads(task)) for task in batch["task"]]}

    def _do(self, task: object) -> int:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count

        self._work(task, advance)
        return done


@contextmanager
def cluster(address: str) -> Iterator[Cluster]:
    """The cluster at an address (`HOST:PORT`; `auto`: the one that runs on this machine), or for `local` one that is
    started here and stopped afterwards. Raises NoCluster."""
    try:
        import ray  # noqa: PLC0415 (an extra)
        import ray.data  # noqa: PLC0415
    except ImportError as error:
        raise NoCluster("Ray is not installed: pip install 'candor[ray]'.") from error
    own = {"include_dashboard": False, "object_store_memory": _OBJECTS} if address == "local" else {}
    try:
        if address not in ("auto", "local"):
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), _SECONDS).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except (OSError, ValueError, RuntimeError) as error:
        raise NoCluster(f"There is no Ray cluster at {address!r} (HOST:PORT, auto or local): {error}") from error
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield Cluster()
    finally:
        ray.shutdown()
