"""The texts of a segment: documents stored once, passages as stretches of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore.chunks import cut
from services.retrieval.datastore.columns import Columns
from services.retrieval.datastore.documents import Document, Metadata
from services.retrieval.datastore.keys import Digests, Keys
from services.retrieval.datastore.strings import Strings
from services.retrieval.datastore.texts import Texts
from services.retrieval.filters import Filter

# start and end in code points, which the wire speaks; first and last in bytes, at which the file is read
_ROW = np.dtype([("document", "<i4"), ("ordinal", "<i4"), ("start", "<i4"), ("end", "<i4"), ("bytes", "<i8", (2,))])


@dataclass(frozen=True)
class Passage:
    """A passage with what is known of its document. `start` and `end` are code points of the document's text."""

    id: str
    document: str
    source: str
    title: str
    licence: str
    url: str | None
    metadata: Metadata
    text: str
    start: int
    end: int


class Passages:
    """Documents in ascending order of id, and their passages in order of document and place; read as asked for."""

    def __init__(self, folder: Path) -> None:
        self._ids = Strings(folder, "ids")
        self._keys = Keys(folder)
        self._columns = Columns(folder)
        self._about = Texts(folder, "about")
        self._texts = Texts(folder, "texts")
        self._rows: NDArray[Any] = np.load(folder / "passages.npy", mmap_mode="r")

    @staticmethod
    def write(folder: Path, documents: Sequence[Document]) -> None:
        """Write documents, which must be in ascending order of id, and their passages."""
        Strings.write(folder, "ids", (document.id for document in documents))
        Keys.write(folder, (document.id for document in documents))
        Columns.write(folder, documents)
        Texts.write(folder, "about", (_about(document) for document in documents))
        Texts.write(folder, "texts", (document.text for document in documents))
        np.save(folder / "passages.npy", np.array(_rows(documents), _ROW))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return len(self._ids)

    @property
    def digests(self) -> Digests:
        """Of the documents' ids, ascending."""
        return self._keys.digests

    def of(self, digests: Digests) -> NDArray[np.bool_]:
        """(passages,) which are of documents whose ids have these digests."""
        gone = np.zeros(self.documents, bool)
        gone[self._keys.rows(digests)] = True
        return np.asarray(gone[self._rows["document"]])

    def among(self, alive: NDArray[np.bool_]) -> int:
        """How many documents the passages are of that are `alive`."""
        return len(np.unique(self._rows["document"][alive]))

    def passing(self, wanted: Filter) -> NDArray[np.bool_]:
        """(passages,) which are of documents that pass a filter."""
        return np.asarray(self._columns.passing(wanted)[self._rows["document"]])

    def text(self, row: int) -> str:
        """The text of one passage."""
        first, last = self._rows["bytes"][row]
        return self._texts.part(int(first), int(last))

    def passage(self, row: int) -> Passage:
        """One passage by its row."""
        document, ordinal, start, end = (int(self._rows[name][row]) for name in ("document", "ordinal", "start", "end"))
        identity = self._ids[document]
        about = json.loads(self._about[document])
        return Passage(f"{identity}#{ordinal}", identity, text=self.text(row), start=start, end=end, **about)

    def document(self, identity: str) -> Document | None:
        """One document by its id, or None."""
        row = self._ids.find(identity)
        return None if row is None else self._document(row)

    def first(self, identity: str) -> int | None:
        """The row of the first passage of a document, or None."""
        row = self._ids.find(identity)
        return None if row is None else int(np.searchsorted(self._rows["document"], row))

    def kept(self, alive: NDArray[np.bool_] | None) -> list[Document]:
        """The documents whose passages are not hidden, in order; `alive` as of `Segment`."""
        rows = range(self.documents) if alive is None else np.unique(self._rows["document"][alive]).tolist()
        return [self._document(row) for row in rows]

    def _document(self, row: int) -> Document:
        return Document(self._ids[row], self._texts[row], **json.loads(self._about[row]))


def _about(document: Document) -> str:
    fields = {name: getattr(document, name) for name in ("title", "source", "licence", "url", "metadata")}
    return json.dumps(fields, ensure_ascii=False)


def _rows(documents: Sequence[Document]) -> list[tuple[int, int, int, int, tuple[int, int]]]:
    rows = []
    base = 0
    for number, document in enumerate(documents):
        text, byte, place = document.text, base, 0
        for ordinal, chunk in enumerate(cut(text)):
            # byte offsets grow with the text: encoding each prefix anew would be quadratic in a long document
            first = byte + len(text[place : chunk.start].encode())
            last = first + len(text[chunk.start : chunk.end].encode())
            rows.append((number, ordinal, chunk.start, chunk.end, (first, last)))
            byte, place = last, chunk.end
        base = byte + len(text[place:].encode())
    return rows
