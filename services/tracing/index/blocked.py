"""The takedown list: documents that no request is shown, whatever is built or added later."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

from services.tracing.index.corpus import Corpus
from services.tracing.index.records import Hashes, Key, hashes
from services.tracing.index.segment import Segment


class BadBlockList(ValueError):
    """It is not known which documents are blocked, so that none may be shown. The message names the line."""


Digest = Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{64}$", to_lower=True)]
"""A SHA-256 in hexadecimal. Other digits than these would block nothing, and nobody would know."""


class Entry(BaseModel):
    """One line of the list: all documents with this id, URL or SHA-256 of the text, of one corpus or of all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = None
    url: str | None = None
    sha256: Digest | None = None
    corpus: str | None = None

    @property
    def named(self) -> list[tuple[Key, str]]:
        """What is blocked, and its value."""
        keys: tuple[tuple[Key, str | None], ...] = (("id", self.id), ("url", self.url), ("sha256", self.sha256))
        return [(key, value) for key, value in keys if value is not None]

    @model_validator(mode="after")
    def _one(self) -> Entry:
        if len(self.named) != 1:
            raise ValueError("give one of id, url and sha256")
        return self


class Values(NamedTuple):
    """Of documents of one corpus, or of all, those are blocked that have one of these values."""

    corpus: str | None
    key: Key
    values: Set[str]
    hashed: Hashes


@dataclass(frozen=True, eq=False)
class Blocks:
    """The list at one moment, with entries of one corpus and key together: no document is looked at for each."""

    entries: Sequence[Values] = ()

    def hide(self, corpus: Corpus) -> Corpus:
        """A corpus without the documents that are blocked."""
        entries = [entry for entry in self.entries if entry.corpus in (None, corpus.id)]
        if not entries:
            return corpus
        segments = [_hide(segment, entries) for segment in corpus.segments]
        return replace(corpus, segments=[segment for segment in segments if segment.documents])


class BlockList:
    """The list in a file of JSON lines, read again when the file has changed; without a file nothing is blocked."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: tuple[bytes, Blocks] = b"", Blocks()
        self._reading = Lock()

    def now(self) -> Blocks:
        """The list as it is. Raises BadBlockList."""
        if self._file is None:
            return self._known[1]
        try:
            content = self._file.read_bytes()
        except OSError as error:
            detail = (
                f"the takedown list {self._file} cannot be read ({error.strerror}): nothing is shown until it can be"
            )
            raise BadBlockList(detail) from error
        with self._reading:
            if content != self._known[0]:
                self._known = content, Blocks(_together(_parse(self._file, content)))
            return self._known[1]


def _hide(segment: Segment, entries: Sequence[Values]) -> Segment:
    found = {document for _, key, values, hashed in entries for document in segment.find_any(key, values, hashed)}
    return segment.hiding(np.array(sorted(found), dtype=np.int64))


def _together(entries: Sequence[Entry]) -> list[Values]:
    found: dict[tuple[str | None, Key], set[str]] = {}
    for entry in entries:
        for key, value in entry.named:
            found.setdefault((entry.corpus, key), set()).add(value)
    return [Values(corpus, key, values, hashes(key, [*values])) for (corpus, key), values in found.items()]


def _parse(file: Path, content: bytes) -> list[Entry]:
    entries = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            try:
                entries.append(Entry.model_validate_json(line))
            except ValidationError as error:
                fault = error.errors()[0]
                what = ": ".join([*map(str, fault["loc"]), fault["msg"]])
                detail = (
                    f"line {number} of the takedown list {file} is none ({what}): nothing is shown until it is mended"
                )
                raise BadBlockList(detail) from error
    return entries
