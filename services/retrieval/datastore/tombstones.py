"""Which documents of an owner were deleted, and when: what hides them until their texts are gone, and after that."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
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
    if (datastore / owner / OLD).exists():
        raise BadTombstones(f"{owner}/{OLD}", "is of an earlier version that has not been taken over")
    return _logged(datastore, owner, head, before)


def append(datastore: Path, owner: str, head: Head, deleted: Sequence[tuple[str, int]]) -> Head:
    """Write deletions, each an id and a number, behind those that `head` is of, to disk, and nothing else; the head of
    all.

    They hold once that head is recorded. What a killed process wrote behind a head counts for nothing.
    """
    entries = np.empty(len(deleted), _ENTRY)
    entries["document"] = digests([identity for identity, _ in deleted])
    entries["number"] = [number for _, number in deleted]
    descriptor = os.open(datastore / f"{owner}{SUFFIX}", os.O_WRONLY | os.O_CREAT, 0o666)
    with os.fdopen(descriptor, "wb") as file:  # writes all, or raises
        file.seek(head.count * _ENTRY.itemsize)
        file.write(entries.tobytes())
        file.flush()
        os.fsync(descriptor)
    return _chained(head, entries)


def earlier(datastore: Path, owner: str, head: Head | None) -> list[tuple[str, int]]:
    """What an owner's file of the earlier version has and the deletions of `head` have not, each an id and a number;
    nothing without such a file. Once that is recorded the file can go. Raises BadTombstones if either is damaged."""
    try:
        found = json.loads((datastore / owner / OLD).read_bytes())
        deleted: dict[str, int] = found["documents"]
        whole = hashlib.sha256(json.dumps(deleted).encode()).hexdigest() == found["digest"]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise BadTombstones(f"{owner}/{OLD}", "is damaged") from error
    if not whole:
        raise BadTombstones(f"{owner}/{OLD}", "is damaged")
    present = _logged(datastore, owner, head, NONE)
    there = {*zip(present.documents.tolist(), present.numbers.tolist(), strict=True)}
    keys = digests([*deleted]).tolist()
    return [entry for key, entry in zip(keys, deleted.items(), strict=True) if (key, entry[1]) not in there]


def _logged(datastore: Path, owner: str, head: Head | None, before: Tombstones) -> Tombstones:
    path = datastore / f"{owner}{SUFFIX}"
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
    documents = np.concatenate([known.documents, entries["document"].astype(np.uint64)])
    numbers = np.concatenate([known.numbers, entries["number"].astype(np.int64)])
    order = np.argsort(numbers, kind="stable")  # those of an earlier version may stand behind later ones
    return Tombstones(head, documents[order], numbers[order])


def _chained(head: Head, entries: NDArray[Any]) -> Head:
    """Each digest is of the one before and the entry: a deletion costs the same, however many there are."""
    digest = bytes.fromhex(head.digest)
    content = entries.tobytes()
    for start in range(0, len(content), _ENTRY.itemsize):
        digest = hashlib.sha256(digest + content[start : start + _ENTRY.itemsize]).digest()
    return Head(count=head.count + len(entries), digest=digest.hex())
