"""What a reader is given, and what it gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.retrieval.datastore.documents import Document, Metadata

Found = tuple[str, Document | str]
"""The place in its file (`line 3`, `row 3`, `page 3`, from 1; empty for the whole), and the document that is there or
what is wrong with what is there."""


@dataclass(frozen=True)
class Origin:
    """Whose documents they are. `licence` is for those that name none."""

    owner: str
    source: str
    licence: str


@dataclass(frozen=True)
class File:
    """A file of a source: `name` is its path below the folder of texts, `key` that within the owner's or source's
    folder, which tells the documents of a source apart."""

    path: Path
    name: str
    key: str


@dataclass(frozen=True)
class Part:
    """What of a file is read by itself, in units of its kind (bytes, row groups): from `start`, before `end`.

    `first` is the number of its first line or row in the file, from 1.
    """

    start: int
    end: int
    first: int = 1


@dataclass(frozen=True)
class Reader:
    """How one kind of file is read, and how its documents are treated unless the registry says otherwise.

    `split(path, size)` divides a file into parts of about `size` bytes. `clean`: whether duplicates are left out: not
    where documents have ids of their owner's, which others may refer to. `web`: whether the rules for pages hold.
    """

    split: Callable[[Path, int], Iterator[Part]]
    read: Callable[[File, Part, Origin], Iterator[Found]]
    clean: bool
    web: bool


def document(fields: dict[str, Any], origin: Origin, default_id: str | None = None) -> Document:
    """The document of a record with `id` and `text`, and perhaps `title`, `source`, `licence`, `url` and `owner`.

    Raises ValueError with what is wrong. A record of another owner than the folder it lies in is refused: whose data
    it is must not be guessed.
    """
    if (named := fields.get("owner")) not in (None, origin.owner):
        raise ValueError(f"the owner is {named!r}, but the file lies in the folder of {origin.owner!r}")
    made = Document(
        id=_string(fields, "id", default=default_id),
        text=_string(fields, "text"),
        title=_string(fields, "title", default=""),
        source=_string(fields, "source", default=origin.source),
        licence=_string(fields, "licence", default=origin.licence),
        url=_string(fields, "url", default="") or None,
        metadata=metadata(fields.get("metadata")),
    )
    if not made.id or not made.text.strip():
        raise ValueError("`id` and `text` must not be empty")
    return made


def metadata(said: object) -> Metadata:
    """The metadata of a record: names with values that are strings, numbers, true or false; null says nothing.

    Raises ValueError.
    """
    if said is None:
        return {}
    if not isinstance(said, dict):
        raise ValueError("`metadata` must be an object")
    for name, value in said.items():
        if not isinstance(value, str | int | float | bool | None):
            raise ValueError(f"`metadata.{name}` must be a string, a number, true or false")
        if isinstance(value, int):
            try:
                float(value)
            except OverflowError as error:
                raise ValueError(f"`metadata.{name}` is too large a number") from error
    known = {name: value for name, value in said.items() if value is not None}
    json.dumps(known, allow_nan=False, ensure_ascii=False).encode()
    return known


def _string(fields: dict[str, Any], name: str, default: str | None = None) -> str:
    value = fields.get(name)
    value = default if value is None else value
    if not isinstance(value, str):
        raise ValueError(f"`{name}` must be a string")
    value.encode()  # a lone surrogate, which JSON can write and UTF-8 cannot: UnicodeEncodeError
    return value
