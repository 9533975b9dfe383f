"""One segment: an owner's source, immutable, in a folder of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.retrieval.bm25.postings import Postings
from services.retrieval.bm25.words import words
from services.retrieval.compactds import ann
from services.retrieval.compactds.search import Vectors
from services.retrieval.datastore import manifest
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.passages import Passages
from services.retrieval.leann.codebook import Codebook
from services.retrieval.leann.codes import Codes

VECTORS = "vectors.npy"
"""The file of a segment's vectors, (passages, d) in float16."""


class Segment:
    """An open segment. Files are mapped into memory; only the codes of the vectors are read whole."""

    def __init__(self, folder: Path, codebook: Codebook | None) -> None:
        """Raises BadSegment for a folder that is not whole."""
        self.manifest = manifest.load(folder)
        self.passages = Passages(folder)
        self.postings = Postings(folder)
        self.vectors = _vectors(folder) if manifest.COMPACTDS in self.manifest.indexes else None
        """None if the segment was built without `compactds`."""
        self.codes = Codes(folder, codebook) if codebook and self.manifest.codebook == codebook.id else None
        """LEANN's; None if the segment has none of this codebook."""
        self.bytes = sum(file.bytes for file in self.manifest.files.values())
        """Size on disk without the manifest."""


def _vectors(folder: Path) -> Vectors:
    exact: NDArray[np.float16] = np.load(folder / VECTORS, mmap_mode="r")
    return Vectors(ann.load(exact, folder), exact)


def write_texts(folder: Path, documents: Sequence[Document]) -> list[str]:
    """Write the documents (in ascending order of id), their passages and postings; the passages' texts, in order."""
    Passages.write(folder, documents)
    passages = Passages(folder)
    texts = [passages.text(row) for row in range(len(passages))]
    Postings.write(folder, words(texts))
    return texts


def write_vectors(folder: Path, vectors: NDArray[np.float16], flat_below: int) -> None:
    """Write (n, d) vectors and their index."""
    np.save(folder / VECTORS, vectors)
    ann.build(vectors, folder, flat_below)
