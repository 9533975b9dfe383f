"""Datastores without stored vectors: LEANN's codes and BM25 alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.retrieval.compactds import ann
from services.retrieval.datastore import manifest
from services.retrieval.datastore.embed import Embedder
from services.retrieval.datastore.manifest import COMPACTDS
from services.retrieval.datastore.passages import Passages
from services.retrieval.datastore.segment import VECTORS
from services.retrieval.datastore.work import UNFINISHED


@dataclass
class SegmentVectors:
    """Vectors of segments for the time of a build: from their files, or embedded anew where none are stored.

    What is embedded anew is kept beside the segment until `clear`, so that nothing is embedded twice, also after a
    kill.
    """

    embedder: Embedder
    tell: Callable[[str], None]
    _work: list[Path] = field(default_factory=list)

    def of(self, folder: Path) -> NDArray[Any]:
        """(n, d) vectors of a whole segment's passages."""
        stored = folder / VECTORS
        if stored.exists():
            vectors: NDArray[Any] = np.load(stored, mmap_mode="r")
            return vectors
        work = folder.with_name(f"{UNFINISHED}{folder.name}")
        if work not in self._work:
            self._work.append(work)
            self.tell(f"{folder.parent.name}/{folder.name}: its vectors are not stored, so they are made again")
        passages = Passages(folder)
        texts = [passages.text(row) for row in range(len(passages))]
        return self.embedder.vectors(texts, {}, work, lambda _: None)

    def clear(self) -> None:
        """Remove what was made anew."""
        for work in self._work:
            shutil.rmtree(work)


def drop_vectors(folder: Path) -> bool:
    """Take the vectors of a whole segment away, and their index: whether there were any.

    The manifest goes first: what a kill leaves behind, no manifest names, and the next build takes away.
    """
    present = manifest.parse(folder)
    files = {name: stamp for name, stamp in present.files.items() if name not in (VECTORS, ann.FILE)}
    if COMPACTDS in present.indexes:
        indexes = [index for index in present.indexes if index != COMPACTDS]
        present.model_copy(update={"files": files, "indexes": indexes}).write(folder)
    for name in (VECTORS, ann.FILE):
        (folder / name).unlink(missing_ok=True)
    return COMPACTDS in present.indexes
