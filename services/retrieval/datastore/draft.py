"""A segment of documents that were added, before it is in its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from services.retrieval.datastore import manifest
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.layout import Layout
from services.retrieval.datastore.manifest import COMPACTDS, Manifest
from services.retrieval.datastore.renew import digest
from services.retrieval.datastore.segment import VECTORS, write_texts
from services.retrieval.datastore.unstored import drop_vectors
from services.retrieval.datastore.vectors import Embedders
from services.retrieval.leann import codes
from services.retrieval.leann.codebook import Codebook
from shared.durable import publish, settle
from shared.owners import Owner


class Draft:
    """Texts, vectors and codes in a workspace. What takes time is done there; putting it in its place does not."""

    def __init__(
        self,
        work: Path,
        owner: Owner,
        documents: Sequence[Document],
        embedders: Embedders,
        *,
        before: Sequence[Path],
        layout: Layout,
    ) -> None:
        """Of documents in ascending order of id, for a datastore of this layout; `before` are segments that some of
        them may be of. Raises FileNotFoundError or BadSegment if one of those was taken away or damaged."""
        self.layout = layout
        self._folder = work / "segment"
        self._folder.mkdir()
        texts = write_texts(self._folder, documents)
        embedders.write(self._folder, texts, before, work)
        files = manifest.stamp(self._folder)
        settle(self._folder)
        self._manifest = Manifest(
            format=manifest.FORMAT,
            id="",
            owner=owner.id,
            public=owner.public,
            licence=owner.licence,
            read=len(documents),
            documents=len(documents),
            passages=len(texts),
            encoder=embedders.first.stamp,
            exact=embedders.exact,
            inputs=digest(files),
            files=files,
        )

    @property
    def passages(self) -> int:
        """How many there are."""
        return self._manifest.passages

    def code(self, book: Codebook | None) -> None:
        """Have codes of this codebook and of no other; of none without one."""
        if self._manifest.codebook == (book.id if book else None):
            return
        for old in self._folder.glob(f"{codes.PREFIX}*"):
            old.unlink()
        files = {name: file for name, file in self._manifest.files.items() if not name.startswith(codes.PREFIX)}
        if book:
            codes.Codes.write(self._folder, book, np.load(self._folder / VECTORS, mmap_mode="r"))
            files |= {name: manifest.stamp_file(self._folder / name) for name in codes.names(book)}
        settle(self._folder)
        self._manifest = self._manifest.model_copy(update={"files": files, "codebook": book.id if book else None})

    def publish(self, place: Path) -> None:
        """Make it the segment of this folder, which must not be there."""
        self._manifest.model_copy(update={"id": place.name}).write(self._folder)
        if COMPACTDS not in self.layout.indexes:
            drop_vectors(self._folder)  # they are only for coding
        place.parent.mkdir(exist_ok=True)
        publish(self._folder, place)
