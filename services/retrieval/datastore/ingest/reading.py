"""Preparing the shards of a source, each into a file, so that a killed build goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from services.retrieval.datastore.ingest import shardfile
from services.retrieval.datastore.ingest.decontaminate import Queries
from services.retrieval.datastore.ingest.prepare import RULES, Task, prepare
from services.retrieval.datastore.ingest.shardfile import ShardFile
from services.retrieval.datastore.ingest.shards import Shard, shards
from services.retrieval.datastore.ingest.sources import Source
from services.retrieval.datastore.work import stage
from shared.schedule import Advance, Scheduler


def read(
    source: Source,
    work: Path,
    tell: Callable[[str], None],
    *,
    queries: Queries,
    compare: bool,
    size: int,
    scheduler: Scheduler,
) -> list[ShardFile]:
    """The prepared shards of a source in order; those that a killed build had finished are taken as they are."""
    key = hashlib.sha256(f"{RULES} {size} {compare} {queries.digest} {source.digest()}".encode()).hexdigest()
    folder = stage(work, "read", key)
    parts = shards(source, size)
    paths = [folder / f"{number:05}.arrow" for number in range(len(parts))]
    todo = [(path, shard) for path, shard in zip(paths, parts, strict=True) if not path.exists()]
    done = len(parts) - len(todo)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        tell(f"{source.name}: shard {done} of {len(parts)} read")

    scheduler.run(partial(_Preparing, queries, compare), todo, advance)
    return [ShardFile(path) for path in paths]


@dataclass(frozen=True)
class _Preparing:
    """The work on one shard, from its sources to its file."""

    queries: Queries
    compare: bool

    def __call__(self, task: tuple[Path, Shard], advance: Advance) -> None:
        path, shard = task
        shardfile.write(path, prepare(Task(shard, self.queries, self.compare)))
        advance(1)
