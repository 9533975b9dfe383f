"""Reading an owner's texts: JSON lines, a document each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from services.tracing.index.records import Record
from shared.owners import Owner


class Place(NamedTuple):
    """A line of a file: where it begins, and how long it is, in bytes."""

    path: Path
    start: int
    bytes: int


@dataclass(frozen=True)
class Document:
    """A document to be indexed."""

    record: Record
    text: str
    place: Place


def read_documents(owner: Owner, files: Sequence[Path], tell: Callable[[str], None]) -> Iterator[Document | None]:
    """The documents of an owner's files in order; None for one that is empty or not valid Unicode, and for a line that
    is no document, is another owner's, or has an id that was seen before: of such a line `tell` is told file and line.
    """
    seen: set[str] = set()
    for path in files:
        with path.open("rb") as lines:
            end = 0
            for number, line in enumerate(lines, 1):
                place = Place(path, end, len(line))
                end += len(line)
                if not line.strip():
                    continue
                try:
                    document = _document(line, owner, place)
                    if document.record.id in seen:
                        raise ValueError(f"the id {document.record.id!r} is an earlier document's")
                except (ValueError, RecursionError) as error:
                    tell(f"{owner.id}/{path.name}, line {number}: {error} (left out)")
                    yield None
                    continue
                seen.add(document.record.id)
                yield document if document.text and _is_unicode(document) else None


def read_at(owner: Owner, places: Sequence[Place]) -> Iterator[Document]:
    """The documents of lines that `read_documents` has read. Raises ValueError if a file has changed since."""
    for path, some in groupby(places, key=lambda place: place.path):
        with path.open("rb") as stream:
            for place in some:
                stream.seek(place.start)
                yield _document(stream.read(place.bytes), owner, place)


def digest(files: Sequence[Path]) -> str:
    """SHA-256 over names and contents of files."""
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            whole.update(f"{path.name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _document(line: bytes, owner: Owner, place: Place) -> Document:
    """As the retrieval service reads a line: `id` and `text`, and what else it says of the document."""
    fields = json.loads(line.decode())
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    if (named := fields.get("owner")) not in (None, owner.id):
        raise ValueError(f"the owner is {named!r}, but the file lies in the folder of {owner.id!r}")
    text, identity = _string(fields, "text"), _string(fields, "id")
    if not identity:
        raise ValueError("`id` must not be empty")
    record = Record(
        id=identity,
        title=_string(fields, "title", ""),
        source=_string(fields, "source", place.path.stem),
        licence=_string(fields, "licence", owner.licence),
        url=_string(fields, "url", "") or None,
        sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        metadata=_metadata(fields),
    )
    return Document(record, text, place)


def _string(fields: dict[str, object], name: str, default: str | None = None) -> str:
    value = fields.get(name)
    value = default if value is None else value
    if not isinstance(value, str):
        raise ValueError(f"`{name}` must be a string")
    return value


def _metadata(fields: dict[str, object]) -> dict[str, str | int | float | bool]:
    said = fields.get("metadata") or {}
    if not isinstance(said, dict) or any(not isinstance(value, str | int | float | bool) for value in said.values()):
        raise ValueError("`metadata` must be an object of strings, numbers, true and false")
    if not all(_is_sendable(value) for value in said.values()):
        raise ValueError("a number in `metadata` must be finite, and an integer fit into 64 bits")
    return {str(key): value for key, value in said.items()}


def _is_sendable(value: str | int | float | bool) -> bool:
    """Whether it comes out of an answer's JSON as it went in."""
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, str) or -(2**63) <= value < 2**63


def _is_unicode(document: Document) -> bool:
    """Whether it has no lone surrogate, which JSON can spell and UTF-8 cannot."""
    record = document.record
    known = [record.id, record.title, record.source, record.licence, record.url or ""]
    said = [str(part) for item in record.metadata.items() for part in item]
    try:
        "".join([document.text, *known, *said]).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
