"""A segment on disk: an immutable folder of arrays, written whole and opened as memory maps."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from services.tracing.index.records import Record, StoredRecords, stored
from services.tracing.index.segment import Segment, term_documents
from services.tracing.index.suffixes import first_ranks, suffix_array
from services.tracing.search.arrays import Index
from services.tracing.search.packing import pack, packed, width_for
from services.tracing.tokenizer import Ids, Tokenizer

FORMAT = "candor-tracing-2"
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


class File(BaseModel):
    """Size and checksum of one file of a segment."""

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """`manifest.json`: written last, so that a segment without one was never finished.

    `tokens` are those of documents, separators aside; `width` is the bits of a position in `suffixes.bin`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    owner: str
    documents: int
    tokens: int
    dtype: str
    width: int
    vocabulary: int
    tokenizer: str
    files: dict[str, File]


def open_segment(folder: Path, owner: str, tokenizer: Tokenizer) -> Segment:
    """Open a segment after checking every byte of it. Raises BadSegment."""
    manifest = read_manifest(folder, owner, tokenizer)
    for name, file in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != file.bytes or _sha256(path) != file.sha256:
            raise BadSegment(f"segment {folder.name}: {name} is missing, cut short or altered")
    tokens: Ids = _map(folder, "tokens", np.dtype(manifest.dtype).type)
    buckets = _map(folder, "buckets", np.uint32)
    index = Index(
        tokens=tokens,
        separator=np.int64(tokenizer.separator),
        suffixes=packed(_map(folder, "suffixes", np.uint64), manifest.tokens, manifest.width),
        firsts=buckets[:-1],
        pasts=buckets[1:],
        swapped=False,
        dead=no_ranks(),
    )
    records = StoredRecords(
        _map(folder, "records", np.uint8),
        _map(folder, "record_offsets", np.uint64),
        _map(folder, "keys", np.uint64),
        _map(folder, "key_documents", np.uint32),
    )
    size = sum(file.bytes for file in manifest.files.values())
    edges, terms = _map(folder, "documents", np.uint32), _map(folder, "term_documents", np.uint32)
    return Segment(folder.name, owner, tokenizer, index, edges, records, terms, size)


def read_manifest(folder: Path, owner: str, tokenizer: Tokenizer) -> Manifest:
    """The manifest of a segment of this owner and tokenizer. Raises BadSegment."""
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
    return manifest


def write_segment(
    folder: Path, owner: str, tokenizer: Tokenizer, documents: Sequence[Ids], records: Sequence[Record]
) -> Manifest:
    """Sort and write a new segment of at least one document, none of them empty.

    `folder` must not exist yet and is not in force until a corpus names it.
    """
    separator = np.array([tokenizer.separator], dtype=tokenizer.dtype)
    tokens: Ids = np.concatenate([part for ids in documents for part in (ids, separator)])
    suffixes = suffix_array(tokens)
    width = width_for(tokens.size)
    arrays: dict[str, NDArray[Any]] = {
        "tokens": tokens,
        "suffixes": pack(suffixes, width),
        "buckets": first_ranks(tokens, tokenizer.size),
        "documents": np.cumsum([0, *(ids.size + 1 for ids in documents)]).astype(np.uint32),
        "term_documents": term_documents(list(documents), tokenizer),
        **stored(records),
    }
    folder.mkdir(parents=True)
    manifest = Manifest(
        format=FORMAT,
        owner=owner,
        documents=len(documents),
        tokens=suffixes.size,
        dtype=tokenizer.dtype.name,
        width=width,
        vocabulary=tokenizer.size,
        tokenizer=tokenizer.fingerprint,
        files={f"{name}.bin": _write(folder / f"{name}.bin", arrays[name]) for name in FILES},
    )
    write_durably(folder / "manifest.json", manifest.model_dump_json(indent=2).encode("utf-8"))
    return manifest


def no_ranks() -> NDArray[np.uint32]:
    """The dead ranks of a segment that hides nothing; read-only like all others, so that the search has one type."""
    none = np.zeros(0, dtype=np.uint32)
    none.flags.writeable = False
    return none


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on disk, so that nothing published can name what a power cut loses."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


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
