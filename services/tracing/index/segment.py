"""One segment: an immutable folder of arrays, written whole and opened as memory maps."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from services.tracing.index.suffixes import buckets, suffix_array
from services.tracing.search import Index
from services.tracing.tokenizer import Ids, Tokenizer

FORMAT = "candor-tracing-1"
FILES = (
    "tokens",
    "suffixes",
    "buckets",
    "documents",
    "records",
    "record_offsets",
    "keys",
    "key_documents",
    "term_documents",
)


Scalar = TypeVar("Scalar", bound=np.generic)


class BadSegment(ValueError):
    """A segment that is incomplete, altered, or of another format, tokenizer or owner. The message names it."""


@dataclass(frozen=True)
class Record:
    """What is known of a document beside its text, which is its tokens."""

    id: str
    title: str
    source: str
    licence: str
    url: str | None


class File(BaseModel):
    """Size and checksum of one file of a segment."""

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """`manifest.json`: written last, so that a segment without one was never finished."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    owner: str
    documents: int
    tokens: int
    dtype: str
    vocabulary: int
    tokenizer: str
    files: dict[str, File]


class Segment:
    """An open segment. `tokens` excludes separators; document numbers count from 0 within the segment."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.name = folder.name
        self.manifest = manifest
        tokens: Ids = _map(folder, "tokens", np.dtype(manifest.dtype).type)
        self.index = Index(tokens, _map(folder, "suffixes", np.uint32), _map(folder, "buckets", np.uint32))
        self.starts = _map(folder, "documents", np.uint32)
        self.term_documents = _map(folder, "term_documents", np.uint32)
        self._records = _map(folder, "records", np.uint8)
        self._record_offsets = _map(folder, "record_offsets", np.uint64)
        self._keys = _map(folder, "keys", np.uint64)
        self._key_documents = _map(folder, "key_documents", np.uint32)

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return sum(file.bytes for file in self.manifest.files.values())

    def occurrences(self, ids: Ids) -> NDArray[np.int64]:
        """How often each of these tokens occurs in the segment."""
        at = ids.astype(np.int64)
        return self.index.buckets[at + 1].astype(np.int64) - self.index.buckets[at]

    def document_lengths(self) -> NDArray[np.int64]:
        """Tokens of each document."""
        starts = self.starts.astype(np.int64)
        return starts[1:] - starts[:-1] - 1

    def document_at(self, position: int) -> int:
        """The number of the document that holds a position of `index.tokens`."""
        return int(np.searchsorted(self.starts, position, side="right")) - 1

    def bounds(self, document: int) -> tuple[int, int]:
        """The positions [start, end) of a document's tokens, its separator not among them."""
        return int(self.starts[document]), int(self.starts[document + 1]) - 1

    def record(self, document: int) -> Record:
        """What is known of a document."""
        start, end = int(self._record_offsets[document]), int(self._record_offsets[document + 1])
        return Record(**json.loads(self._records[start:end].tobytes()))

    def document(self, identity: str) -> int | None:
        """The number of the document with this id, or None."""
        key = _key(identity)
        at = int(np.searchsorted(self._keys, key))
        while at < self._keys.size and self._keys[at] == key:
            document = int(self._key_documents[at])
            if self.record(document).id == identity:
                return document
            at += 1
        return None


def open_segment(folder: Path, owner: str, tokenizer: Tokenizer) -> Segment:
    """Open a segment after checking every byte of it. Raises BadSegment."""
    try:
        manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise BadSegment(f"segment {folder.name} has no usable manifest ({type(error).__name__})") from error
    for is_so, fault in (
        (manifest.format == FORMAT, f"is of format {manifest.format}, not {FORMAT}"),
        (manifest.owner == owner, f"belongs to owner {manifest.owner!r}, not {owner!r}"),
        (manifest.tokenizer == tokenizer.fingerprint, "was built with another tokenizer; build it again"),
        (set(manifest.files) == {f"{name}.bin" for name in FILES}, "has a manifest of other files than it needs"),
    ):
        if not is_so:
            raise BadSegment(f"segment {folder.name} {fault}")
    for name, file in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != file.bytes or _sha256(path) != file.sha256:
            raise BadSegment(f"segment {folder.name}: {name} is missing, cut short or altered")
    return Segment(folder, manifest)


def write_segment(
    folder: Path, owner: str, tokenizer: Tokenizer, documents: Sequence[Ids], records: Sequence[Record]
) -> Manifest:
    """Sort and write a new segment of at least one document, none of them empty.

    `folder` must not exist yet and is not in force until a corpus names it.
    """
    folder.mkdir(parents=True)
    lengths = np.array([ids.size + 1 for ids in documents], dtype=np.int64)
    starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.uint32)
    separator = np.array([tokenizer.separator], dtype=tokenizer.dtype)
    tokens: Ids = np.concatenate([part for ids in documents for part in (ids, separator)])
    lines = [json.dumps(asdict(record), ensure_ascii=False).encode("utf-8") for record in records]
    keys = np.array([_key(record.id) for record in records], dtype=np.uint64)
    by_key = np.argsort(keys, kind="stable")
    arrays: dict[str, NDArray[Any]] = {
        "tokens": tokens,
        "suffixes": suffix_array(tokens),
        "buckets": buckets(tokens, tokenizer.size),
        "documents": starts,
        "records": np.frombuffer(b"".join(lines), dtype=np.uint8),
        "record_offsets": np.cumsum([0, *map(len, lines)], dtype=np.uint64),
        "keys": keys[by_key],
        "key_documents": by_key.astype(np.uint32),
        "term_documents": _term_documents(documents, tokenizer),
    }
    manifest = Manifest(
        format=FORMAT,
        owner=owner,
        documents=len(documents),
        tokens=int(tokens.size) - len(documents),
        dtype=tokenizer.dtype.name,
        vocabulary=tokenizer.size,
        tokenizer=tokenizer.fingerprint,
        files={f"{name}.bin": _write(folder / f"{name}.bin", arrays[name]) for name in FILES},
    )
    write_durably(folder / "manifest.json", manifest.model_dump_json(indent=2).encode("utf-8"))
    return manifest


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on disk, so that nothing published can name what a power cut loses."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _term_documents(documents: Iterable[Ids], tokenizer: Tokenizer) -> NDArray[np.uint32]:
    """In how many of the documents each term occurs."""
    counts = np.zeros(tokenizer.term_count, dtype=np.uint32)
    for ids in documents:
        counts[np.unique(tokenizer.terms[ids])] += 1
    return counts


def _key(identity: str) -> np.uint64:
    digest = hashlib.blake2b(identity.encode("utf-8"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _map(folder: Path, name: str, dtype: type[Scalar]) -> NDArray[Scalar]:
    """A read-only view of a file; an ndarray and not a memmap, so that numba sees one type."""
    return np.asarray(np.memmap(folder / f"{name}.bin", dtype=dtype, mode="r"))


def _write(path: Path, array: NDArray[Any]) -> File:
    data = array.tobytes()
    write_durably(path, data)
    return File(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
