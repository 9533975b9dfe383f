"""One segment: an owner's source, immutable, in a folder of its own."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.retrieval.bm25.postings import Postings
from services.retrieval.bm25.words import words
from services.retrieval.compactds import ann
from services.retrieval.compactds.search import Vectors
from services.retrieval.datastore import manifest
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.keys import Digests
from services.retrieval.datastore.manifest import BadSegment, EncoderStamp
from services.retrieval.datastore.passages import Passages
from services.retrieval.filters import Filter
from services.retrieval.leann.codebook import Codebook
from services.retrieval.leann.codes import Codes
from services.retrieval.leann.kept import Kept
from services.retrieval.ranking import Rows
from services.retrieval.recent import Recent

VECTORS = "vectors.npy"
"""The file of a segment's vectors, (passages, d) in float16."""

EXACT = "exact.npy"
"""The file of the exact stage's vectors, (passages, e) in float16, where a second encoder makes them."""

_FILTERS_KEPT = 16


class Segment:
    """An open segment. Files are mapped into memory; only the codes of the vectors are read whole."""

    def __init__(self, folder: Path, codebook: Codebook | None, exact: EncoderStamp | None = None) -> None:
        """`exact` is the encoder of the exact stage, if it is a second one. Raises BadSegment for a folder that is not
        whole, or has no vectors of that encoder."""
        self.folder = folder
        self.written = written(folder)
        self.manifest = manifest.load(folder, whole=False)
        self.passages = Passages(folder)
        self.postings = Postings(folder)
        if exact not in (None, self.manifest.exact):
            raise BadSegment(
                folder, f"it has no vectors of {exact.name} {exact.revision}, which gives the exact scores"
            )
        self.vectors = _vectors(folder, exact) if manifest.COMPACTDS in self.manifest.indexes else None
        """None if the segment was built without `compactds`."""
        self.codes = Codes(folder, codebook) if codebook and self.manifest.codebook == codebook.id else None
        """LEANN's; None if the segment has none of this codebook."""
        self.bytes = sum(file.bytes for file in self.manifest.files.values())
        """Size on disk without the manifest."""
        self.alive: Rows = None
        """The passages that are not hidden: of documents that were neither deleted nor written anew elsewhere."""
        self.recent = Kept()
        """The vectors last made again of its texts."""
        self._passing: Recent[Filter, NDArray[np.bool_]] = Recent(_FILTERS_KEPT)

    def unchanged(self) -> bool:
        """Whether the manifest on disk is the one that was read."""
        try:
            return written(self.folder) == self.written
        except BadSegment:
            return False

    @property
    def size(self) -> int:
        """How many passages are not hidden."""
        return self.manifest.passages if self.alive is None else int(self.alive.sum())

    @property
    def documents(self) -> int:
        """How many documents are not hidden."""
        return self.manifest.documents if self.alive is None else self.passages.among(self.alive)

    def kept(self) -> list[Document]:
        """The documents that are not hidden, in order of id."""
        return self.passages.kept(self.alive)

    def hiding(self, digests: Digests) -> Segment:
        """The same segment without the documents whose ids have these digests."""
        shown = copy(self)
        hidden = self.passages.of(digests) if digests.size else None
        shown.alive = None if hidden is None or not hidden.any() else ~hidden
        return shown

    def document(self, identity: str) -> Document | None:
        """A document that is not hidden, or None."""
        first = self.passages.first(identity)
        if first is None or (self.alive is not None and not self.alive[first]):
            return None
        return self.passages.document(identity)

    def passing(self, wanted: Filter) -> NDArray[np.bool_]:
        """(passages,) which pass a filter. Those of the filters used last are kept."""
        passing = self._passing.get(wanted)
        if passing is None:
            passing = self.passages.passing(wanted)
            self._passing.put(wanted, passing)
        return passing


def written(folder: Path) -> object:
    """What differs once a segment has been made anew, also of the same texts. Raises BadSegment without a manifest."""
    try:
        found = (folder / manifest.NAME).stat()
    except FileNotFoundError as error:
        raise BadSegment(folder, "it has no manifest, so it was not finished") from error
    return found.st_ino, found.st_mtime_ns


def _vectors(folder: Path, exact: EncoderStamp | None) -> Vectors:
    vectors: NDArray[np.float16] = np.load(folder / VECTORS, mmap_mode="r")
    return Vectors(ann.load(vectors, folder), vectors, np.load(folder / EXACT, mmap_mode="r") if exact else vectors)


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
