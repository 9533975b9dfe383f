"""Plain text and Markdown: a file is a document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.ingest.readers.base import File, Found, Origin, Part, document


def split(path: Path, size: int) -> Iterator[Part]:  # noqa: ARG001 (as every reader's)
    """One part, the file: kinds whose file is one document are not divided."""
    yield Part(0, path.stat().st_size)


def read(file: File, part: Part, origin: Origin) -> Iterator[Found]:  # noqa: ARG001
    """The document, in UTF-8. Its title is Markdown's first heading if that is its first line, or the file's name."""
    try:
        text = file.path.read_bytes().decode("utf-8-sig")
        yield "", whole(file, origin, text, title=_heading(text))
    except ValueError as error:
        yield "", str(error)


def whole(file: File, origin: Origin, text: str, title: str = "", url: str | None = None) -> Document:
    """The document that a whole file is. Raises ValueError if it has no text."""
    if not text.strip():
        raise ValueError("there is no text in it")
    fields = {"id": f"{origin.source}:{file.key}", "text": text, "title": title or file.path.stem, "url": url}
    return document(fields, origin)


def _heading(text: str) -> str:
    first, *_ = text.split("\n", 1)
    return first.removeprefix("# ").strip() if first.startswith("# ") else ""
