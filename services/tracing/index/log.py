"""The log of a corpus's changes: which documents were added or deleted, and by which change. It only grows.

`changes.log` has 16 bytes an entry. It counts as far as the corpus's manifest says, which has a digest of that much:
so a change holds from the moment its manifest is published, and what a killed process wrote behind that for nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from services.tracing.index.records import Hashes, hashes
from shared.durable import sync

FILE = "changes.log"
_ENTRY = np.dtype([("document", "<u8"), ("change", "<i8")])  # the change's number twice, and one more for a deletion


class BadCorpus(ValueError):
    """It is not known what a corpus holds or what was deleted from it, so that nothing of it may be shown."""


class Head(BaseModel):
    """How many entries count, and the SHA-256 of them all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = 0
    digest: str = hashlib.sha256().hexdigest()


@dataclass(frozen=True)
class Log:
    """The entries that count. Documents are known by hashes of their ids (records.hashes), the ids are not kept."""

    entries: NDArray[Any] = field(default_factory=lambda: np.zeros(0, dtype=_ENTRY))
    _digest: Any = field(default_factory=hashlib.sha256)

    @property
    def head(self) -> Head:
        """What a manifest says of it."""
        return Head(count=self.entries.size, digest=self._digest.hexdigest())

    def begins_with(self, other: Log) -> bool:
        """Whether this one has all entries of the other, and perhaps more."""
        count = other.entries.size
        return count <= self.entries.size and bool((self.entries[:count] == other.entries).all())

    def hidden(self, number: int, floor: int, since: int = 0) -> Hashes:
        """Documents of which a segment whose last change is `number` must show nothing, by the entries from `since` on.

        They were deleted later, or added anew later and after the change `floor`, by which all was deleted.
        """
        entries = self.entries[since:]
        change, deleted = entries["change"] >> 1, (entries["change"] & 1).astype(bool)
        chosen: Hashes = entries["document"][(change > number) & (deleted | (change > floor))]
        return chosen


def read(folder: Path, head: Head, before: Log | None = None) -> Log:
    """The log as far as `head` goes; what is in `before` is not read again. Raises BadCorpus."""
    if before and before.entries.size <= head.count:
        log = _more(folder, head, before)
        if log.head == head:
            return log
    log = _more(folder, head, Log())
    if log.head != head:
        raise BadCorpus(f"{FILE} is missing, cut short or altered, so that it is not known what was deleted")
    return log


def append(folder: Path, log: Log, ids: Sequence[str], change: int, *, deleted: bool) -> Log:
    """Write entries behind those of a log, to disk; the log with them, which counts once a manifest says so."""
    entries = np.zeros(len(ids), dtype=_ENTRY)
    entries["document"], entries["change"] = hashes("id", ids), 2 * change + deleted
    create(folder)
    with (folder / FILE).open("r+b") as stream:
        stream.seek(log.entries.nbytes)
        stream.write(entries.tobytes())
        stream.truncate()
        stream.flush()
        os.fsync(stream.fileno())
    return _with(log, entries)


def create(folder: Path) -> None:
    """Make sure that there is one: where one is, a manifest that is lost cannot pass for one that never was."""
    if not exists(folder):
        (folder / FILE).touch()
        sync(folder / FILE)
        sync(folder)


def exists(folder: Path) -> bool:
    """Whether anything was ever added to or deleted from a corpus."""
    return (folder / FILE).exists()


def _more(folder: Path, head: Head, log: Log) -> Log:
    if head.count == log.entries.size:
        return log
    try:
        with (folder / FILE).open("rb") as stream:
            stream.seek(log.entries.nbytes)
            data = stream.read(head.count * _ENTRY.itemsize - log.entries.nbytes)
    except FileNotFoundError:
        return log
    return _with(log, np.frombuffer(data[: len(data) // _ENTRY.itemsize * _ENTRY.itemsize], dtype=_ENTRY))


def _with(log: Log, entries: NDArray[Any]) -> Log:
    digest = log._digest.copy()
    digest.update(entries.tobytes())
    return Log(np.concatenate((log.entries, entries)), digest)
