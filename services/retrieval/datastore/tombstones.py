"""Which documents of an owner were deleted, and when: what hides them until their texts are gone, and after that."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from services.retrieval.datastore.generation import RECORD
from services.retrieval.datastore.keys import Digests, digests

SUFFIX = ".deleted"
OLD = "tombstones.json"

_ENTRY = np.dtype([("document", "<u8"), ("number", "<i8")])


class BadTombstones(Exception):
    """It is not known what an owner has deleted, so that nothing of the owner's may be shown."""

    def __init__(self, name: str, fault: str) -> None:
        what = f"{name} {fault}, so that it is not known which documents were deleted"
        super().__init__(f"{what}: restore it from a copy")


class Head(BaseModel):
    """How many deletions of an owner there are, and a digest of them all in their order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = 0
    digest: str = ""


@dataclass(frozen=True)
class Tombstones:
    """(n,) `documents`, digests of the ids deleted, and (n,) `numbers` of the deletions among the owner's changes,
    ascending: each holds for what was there before. `head` is of them."""

    head: Head
    documents: Digests
    numbers: NDArray[np.int64]

    @property
    def last(self) -> int:
        """The number of the last deletion; 0 without any."""
        return int(self.numbers[-1]) if len(self.numbers) else 0

    def after(self, number: int) -> Digests:
        """Of the documents that were deleted after this change."""
        return self.documents[np.searchsorted(self.numbers, number, side="right") :]


NONE = Tombstones(Head(), np.empty(0, np.uint64), np.empty(0, np.int64))


def read(datastore: Path, owner: str, head: Head | None, before: Tombstones = NONE) -> Tombstones:
    """Those of an owner as far as the recorded `head` goes, of which those in `before` are not read again.

    Raises BadTombstones if the file does not have them, and if there is one although nothing is recorded.
    """
    path = datastore / f"{owner}{SUFFIX}"
    if (datastore / owner / OLD).exists():
        raise BadTombstones(f"{owner}/{OLD}", "is of an earlier version that has not been taken over")
    if head is None and path.exists():
        raise BadTombstones(path.name, f"is there, but {RECORD} does not have {owner}")
    if not head or not head.count:
        return NONE
    known = before if before.head.count <= head.count else NONE
    try:
        with path.open("rb") as file:
            file.seek(known.head.count * _ENTRY.itemsize)
            content = file.read((head.count - known.head.count) * _ENTRY.itemsize)
    except FileNotFoundError as error:
        raise BadTombstones(path.name, "is missing") from error
    entries = np.frombuffer(content[: len(content) // _ENTRY.itemsize * _ENTRY.itemsize], _ENTRY)
    if _chained(known.head, entries) != head:
        raise BadTombstones(path.name, "is damaged")
    documents, numbers = entries["document"].astype(np.uint64), entries["number"].astype(np.int64)
    return Tombstones(head, np.concatenate([known.documents, documents]), np.concatenate([known.numbers, numbers]))


def append(datastore: Path, owner: str, head: Head, identity: str, number: int) -> Head:
    """Write a deletion behind those that `head` is of, to disk, and nothing else; the head of all.

    It holds once that head is recorded. What a killed process wrote behind a head counts for nothing.
    """
    entry = np.array([(digests([identity])[0], number)], _ENTRY)
    descriptor = os.open(datastore / f"{owner}{SUFFIX}", os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        os.pwrite(descriptor, entry.tobytes(), head.count * _ENTRY.itemsize)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return _chained(head, entry)


def adopt(datastore: Path, owner: str) -> Head | None:
    """The head of the deletions in an owner's file of the earlier version, written as `read` wants them; None without
    one. Once it is recorded the file can go. Raises BadTombstones if it is damaged."""
    path = datastore / owner / OLD
    try:
        found = json.loads(path.read_bytes())
        deleted: dict[str, int] = found["documents"]
        whole = hashlib.sha256(json.dumps(deleted).encode()).hexdigest() == found["digest"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise BadTombstones(f"{owner}/{OLD}", "is damaged") from error
    if not whole:
        raise BadTombstones(f"{owner}/{OLD}", "is damaged")
    head = Head()
    for identity, number in sorted(deleted.items(), key=lambda entry: entry[1]):
        head = append(datastore, owner, head, identity, number)
    return head


def _chained(head: Head, entries: NDArray[Any]) -> Head:
    """Each digest is of the one before and the entry: a deletion costs the same, however many there are."""
    digest = bytes.fromhex(head.digest)
    content = entries.tobytes()
    for start in range(0, len(content), _ENTRY.itemsize):
        digest = hashlib.sha256(digest + content[start : start + _ENTRY.itemsize]).digest()
    return Head(count=head.count + len(entries), digest=digest.hex())
