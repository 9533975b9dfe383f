"""The indexes that are compared: where they lie, and building both systems' once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from bench.tracing import ours, peer
from bench.tracing.built import Took, built, emptied
from bench.tracing.corpus import Part


class Index(NamedTuple):
    """So many segments over the documents of some parts, in `folder` / `ours` and `folder` / `peer`."""

    folder: Path
    parts: Sequence[Part]
    segments: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.name

    @property
    def tokens(self) -> int:
        """Tokens of all documents, without separators."""
        return sum(part.about["tokens"] for part in self.parts)

    @property
    def ours(self) -> Path:
        """A folder of corpora."""
        return self.folder / "ours"

    @property
    def peer(self) -> Path:
        """A folder of shards."""
        return self.folder / "peer"

    def build_ours(self) -> Took:
        """Build the corpus, unless it was."""
        command: list[str | Path] = [sys.executable, "-m", "bench.tracing.ours", "build", self.ours]
        command += [str(self.segments), *(part.folder for part in self.parts)]
        return built(emptied(self.ours), command, {})

    def build_peer(self, python: Path) -> Took:
        """Write the peer's files for the documents of each segment of ours, and sort them, unless it was done."""
        folder = emptied(self.peer)
        if next(folder.iterdir(), None):
            return built(folder, [], {})
        shards = [documents for documents, _ in ours.segments_of(self.ours)]
        peer.write(folder, chain.from_iterable(part.documents() for part in self.parts), shards)
        return built(folder, peer.indexing(python, folder, len(shards)), {"shards": len(shards)})
