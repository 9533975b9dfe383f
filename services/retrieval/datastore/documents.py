"""What is read from the owners' files: documents, and what is wrong with the lines that are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIXES = (".jsonl", ".txt")


@dataclass(frozen=True)
class Document:
    """One text of an owner, as its line of texts/OWNER/SOURCE.jsonl gives it."""

    id: str
    text: str
    title: str
    source: str
    licence: str
    url: str | None = None


@dataclass(frozen=True)
class BrokenLine:
    """A line that is no document: the rest of its file loads without it. Lines count from 1."""

    file: str
    line: int
    fault: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.fault}"


def read(path: Path, owner: str, licence: str) -> tuple[list[Document], list[BrokenLine]]:
    """The documents of a JSONL file in ascending order of id, and its broken lines; or a text file as one document.

    A line that names another owner than the folder it lies in is broken: whose data it is must not be guessed.
    `licence` is for documents that name none.
    """
    documents: dict[str, Document] = {}
    broken: list[BrokenLine] = []
    for number, line in _lines(path):
        try:
            document = _document(line, owner, path.stem, licence)
            if document.id in documents:
                raise ValueError(f"the id {document.id!r} was on an earlier line")
            documents[document.id] = document
        except (ValueError, RecursionError) as error:
            broken.append(BrokenLine(f"{owner}/{path.name}", number, str(error)))
    return [documents[identity] for identity in sorted(documents)], broken


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines as bytes, so that one that is not UTF-8 does not make the others unreadable."""
    if path.suffix == ".txt":
        fields = {"id": f"{path.stem}:{path.stem}", "title": path.stem}
        text = path.read_bytes().decode(errors="surrogateescape")
        yield 1, json.dumps({**fields, "text": text}).encode()
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def _document(line: bytes, owner: str, source: str, licence: str) -> Document:
    """Raises ValueError (of which UnicodeError and JSONDecodeError are kinds) with what is wrong."""
    fields = json.loads(line.decode())
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    if (named := fields.get("owner", owner)) != owner:
        raise ValueError(f"the owner is {named!r}, but the file lies in the folder of {owner!r}")
    document = Document(
        id=_string(fields, "id"),
        text=_string(fields, "text"),
        title=_string(fields, "title", default=""),
        source=_string(fields, "source", default=source),
        licence=_string(fields, "licence", default=licence),
        url=_string(fields, "url", default="") or None,
    )
    if not document.id or not document.text.strip():
        raise ValueError("`id` and `text` must not be empty")
    return document


def _string(fields: dict[str, Any], name: str, default: str | None = None) -> str:
    value = fields.get(name)
    value = default if value is None else value
    if not isinstance(value, str):
        raise ValueError(f"`{name}` must be a string")
    value.encode()  # a lone surrogate, which JSON can write and UTF-8 cannot: UnicodeEncodeError
    return value
