"""Preparing the shards of a source one after another, each into a file, so that a killed build goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from services.retrieval.datastore.ingest import shardfile
from services.retrieval.datastore.ingest.decontaminate import Queries
from services.retrieval.datastore.ingest.prepare import RULES, Task, prepare
from services.retrieval.datastore.ingest.shardfile import ShardFile
from services.retrieval.datastore.ingest.shards import shards
from services.retrieval.datastore.ingest.sources import Source
from services.retrieval.datastore.work import stage


def read(
    source: Source, work: Path, tell: Callable[[str], None], *, queries: Queries, compare: bool, size: int
) -> list[ShardFile]:
    """The prepared shards of a source in order; those that a killed build had finished are taken as they are."""
    key = hashlib.sha256(f"{RULES} {size} {compare} {queries.digest} {source.digest()}".encode()).hexdigest()
    folder = stage(work, "read", key)
    todo = shards(source, size)
    paths = [folder / f"{number:05}.arrow" for number in range(len(todo))]
    for number, (path, shard) in enumerate(zip(paths, todo, strict=True), start=1):
        if not path.exists():
            prepare_into(path, Task(shard, queries, compare))
            tell(f"{source.name}: shard {number} of {len(todo)} read")
    return [ShardFile(path) for path in paths]


def prepare_into(path: Path, task: Task) -> None:
    """One shard, from its sources to its file: shards may be prepared in any order, by any process that sees both."""
    shardfile.write(path, prepare(task))
