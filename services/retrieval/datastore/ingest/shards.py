"""Dividing a source into shards, which are read by themselves and in any order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.retrieval.datastore.ingest.readers import READERS
from services.retrieval.datastore.ingest.readers.base import File, Part
from services.retrieval.datastore.ingest.sources import Source

BYTES = 16_000_000
"""About how much of the files one shard holds."""


@dataclass(frozen=True)
class Shard:
    """Parts of files of one source."""

    source: Source
    parts: tuple[tuple[File, Part], ...]


def shards(source: Source, size: int = BYTES) -> list[Shard]:
    """A source in order of its files, in shards of about `size` bytes: parts of a large file, or many small files."""
    return [Shard(source, tuple(parts)) for parts in _groups(source, size)]


def _groups(source: Source, size: int) -> Iterator[list[tuple[File, Part]]]:
    parts: list[tuple[File, Part]] = []
    held = 0
    for file in source.files:
        divided = list(READERS[file.path.suffix.lower()].split(file.path, size))
        for part in divided:
            parts.append((file, part))
            held += file.path.stat().st_size // len(divided)
            if held >= size:
                yield parts
                parts, held = [], 0
    if parts:
        yield parts
