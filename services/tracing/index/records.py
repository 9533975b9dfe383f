"""What is known of the documents of a segment beside their text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

Key = Literal["id", "url", "sha256"]
"""What a document can be looked up by; `sha256` is its text's, in UTF-8, as hexadecimal digits."""


@dataclass(frozen=True)
class Record:
    """What is known of a document beside its text, which is its tokens; `sha256` is the text's, empty where unknown."""

    id: str
    title: str
    source: str
    licence: str
    url: str | None
    sha256: str
    metadata: dict[str, str | int | float | bool] = field(default_factory=dict)


class Records(Protocol):
    """The records of a segment, by the number of the document."""

    def record(self, document: int) -> Record:
        """What is known of a document."""
        ...

    def candidates(self, key: Key, hashed: Hashes) -> Sequence[int]:
        """Documents that may have a value of one of these hashes (see `hashes`), and all that have one."""
        ...

    def having(self, ids: Hashes) -> Sequence[int]:
        """The documents whose ids have one of these hashes, in no order."""
        ...


class StoredRecords:
    """A JSON object a document, and an index of hashes of what it can be looked up by."""

    def __init__(
        self,
        records: NDArray[np.uint8],
        offsets: NDArray[np.uint64],
        keys: NDArray[np.uint64],
        key_documents: NDArray[np.uint32],
    ) -> None:
        self._records, self._offsets, self._keys, self._key_documents = records, offsets, keys, key_documents

    def record(self, document: int) -> Record:
        """What is known of a document."""
        start, end = int(self._offsets[document]), int(self._offsets[document + 1])
        return Record(**json.loads(self._records[start:end].tobytes()))

    def candidates(self, key: Key, hashed: Hashes) -> Sequence[int]:  # noqa: ARG002 (a hash is of key and value)
        """Documents that may have a value of one of these hashes, which can be equal by chance."""
        return self.having(hashed)

    def having(self, ids: Hashes) -> Sequence[int]:
        """The documents whose ids have one of these hashes, in no order."""
        firsts = np.searchsorted(self._keys, ids)
        pasts = np.searchsorted(self._keys, ids, side="right")
        found = [self._key_documents[firsts[n] : pasts[n]] for n in np.flatnonzero(pasts > firsts)]
        return np.concatenate(found).tolist() if found else []

    def lines(self, documents: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """The JSON of some documents, as it is stored."""
        firsts, lasts = self._offsets[documents], self._offsets[documents + 1]
        return [self._records[first:last] for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)]

    def renumbered(self, documents: NDArray[np.int64], first: int) -> tuple[Hashes, NDArray[np.uint32]]:
        """The hashes that lead to some documents, and these, ascending, as numbers from `first` on."""
        numbers = np.full(self._offsets.size - 1, -1, dtype=np.int64)
        numbers[documents] = first + np.arange(documents.size)
        found = numbers[self._key_documents]
        return self._keys[found >= 0], found[found >= 0].astype(np.uint32)


def hashes(key: Key, values: Sequence[str]) -> Hashes:
    """(values,) hashes of 64 bits, by which documents are looked up.

    Of a million ids and a million documents one pair in 18 million such comparisons agrees by chance.
    """
    return np.array([_hash(key, value) for value in values], dtype=np.uint64)


def stored(records: Sequence[Record]) -> dict[str, NDArray[Any]]:
    """The arrays of a StoredRecords, by name."""
    lines = [json.dumps(asdict(record), ensure_ascii=False).encode("utf-8") for record in records]
    keys = [
        (_hash(key, value), document) for document, record in enumerate(records) for key, value in _keys(record).items()
    ]
    keys.sort()
    return {
        "records": np.frombuffer(b"".join(lines), dtype=np.uint8),
        "record_offsets": np.cumsum([0, *map(len, lines)], dtype=np.uint64),
        "keys": np.array([hashed for hashed, _ in keys], dtype=np.uint64),
        "key_documents": np.array([document for _, document in keys], dtype=np.uint32),
    }


def joined(parts: Sequence[tuple[StoredRecords, NDArray[np.int64]]]) -> dict[str, NDArray[Any]]:
    """The arrays of a StoredRecords of chosen documents, ascending, of several, one after the other; nothing is parsed.

    They are, byte for byte, those that `stored` makes of these records.
    """
    before = np.cumsum([0, *(chosen.size for _, chosen in parts)])
    looked_up = [one.renumbered(chosen, int(first)) for (one, chosen), first in zip(parts, before, strict=False)]
    keys, documents = (np.concatenate(arrays) for arrays in zip(*looked_up, strict=True))
    order = np.lexsort((documents, keys))
    lines = [line for one, chosen in parts for line in one.lines(chosen)]
    return {
        "records": np.concatenate(lines),
        "record_offsets": np.cumsum([0, *(line.size for line in lines)], dtype=np.uint64),
        "keys": keys[order],
        "key_documents": documents[order],
    }


def _keys(record: Record) -> dict[Key, str]:
    keys: dict[Key, str] = {"id": record.id, "sha256": record.sha256}
    if record.url:
        keys["url"] = record.url
    return keys


def _hash(key: Key, value: str) -> np.uint64:
    digest = hashlib.blake2b(f"{key}:{value}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))
