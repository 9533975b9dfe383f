"""Reading an owner's texts: JSON lines, a document each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.tracing.index.segment import Record


class BadText(ValueError):
    """A line of a text file that is not a document of its owner. The message names file and line."""


@dataclass(frozen=True)
class Document:
    """A document to be indexed."""

    record: Record
    text: str


def read_documents(owner: str, files: Sequence[Path]) -> Iterator[Document | None]:
    """The documents of an owner's files in order; None for one that is empty or not valid Unicode.

    Raises BadText for a line that is no document, is another owner's, or has an id that was seen before.
    """
    seen: set[str] = set()
    for path in files:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    fields = json.loads(line)
                    if fields["owner"] != owner:
                        raise ValueError(f"is a document of {fields['owner']!r}, not of {owner!r}")
                    if fields["id"] in seen:
                        raise ValueError(f"has the id {fields['id']!r} of an earlier document")
                    document = _document(fields)
                except (KeyError, TypeError, ValueError) as error:
                    raise BadText(f"{path}, line {number}: {error}") from error
                seen.add(document.record.id)
                yield document if document.text and _is_unicode(document) else None


def digest(files: Sequence[Path]) -> str:
    """SHA-256 over names and contents of files."""
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            whole.update(f"{path.name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _document(fields: dict[str, str]) -> Document:
    for name in ("id", "text", "source", "licence"):
        if not isinstance(fields[name], str):
            raise TypeError(f"{name} is not a string")
    record = Record(
        id=fields["id"],
        title=fields.get("title", ""),
        source=fields["source"],
        licence=fields["licence"],
        url=fields.get("url"),
    )
    return Document(record, fields["text"])


def _is_unicode(document: Document) -> bool:
    """Whether it has no lone surrogate, which JSON can spell and UTF-8 cannot."""
    record = document.record
    try:
        "".join([document.text, record.id, record.title, record.source, record.url or ""]).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
