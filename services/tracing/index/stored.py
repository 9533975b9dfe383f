"""A segment on disk: an immutable folder of arrays, written whole and opened as memory maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from services.tracing.index.files import File, is_whole, map_file, no_ranks, write_durably, write_file
from services.tracing.index.records import Record, StoredRecords, stored
from services.tracing.index.segment import Segment, term_documents
from services.tracing.index.suffixes import first_ranks, suffix_array
from services.tracing.search.arrays import Index
from services.tracing.search.packing import pack, packed, width_for
from services.tracing.tokenizer import Ids, Tokenizer

FORMAT = "candor-tracing-3"
"""Counts up with what a file means. The order of suffixes that end alike is part of it: samples are drawn by rank."""
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


class BadSegment(ValueError):
    """A segment that is incomplete, altered, or of another format, tokenizer or owner. The message names it."""


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
        if not is_whole(folder / name, file):
            raise BadSegment(f"segment {folder.name}: {name} is missing, cut short or altered")
    tokens: Ids = map_file(folder / "tokens.bin", np.dtype(manifest.dtype).type)
    buckets = map_file(folder / "buckets.bin", np.uint32)
    index = Index(
        tokens=tokens,
        separator=np.int64(tokenizer.separator),
        suffixes=packed(map_file(folder / "suffixes.bin", np.uint64), manifest.tokens, manifest.width),
        firsts=buckets[:-1],
        pasts=buckets[1:],
        swapped=False,
        dead=no_ranks(),
    )
    records = StoredRecords(
        map_file(folder / "records.bin", np.uint8),
        map_file(folder / "record_offsets.bin", np.uint64),
        map_file(folder / "keys.bin", np.uint64),
        map_file(folder / "key_documents.bin", np.uint32),
    )
    size = sum(file.bytes for file in manifest.files.values())
    edges, terms = map_file(folder / "documents.bin", np.uint32), map_file(folder / "term_documents.bin", np.uint32)
    return Segment(folder.name, owner, tokenizer, index, edges, records, terms, size, folder)


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
    files = {name: write_file(folder / f"{name}.bin", arrays[name]) for name in FILES}
    return finish(folder, owner, tokenizer, len(documents), suffixes.size, files)


def finish(  # noqa: PLR0917
    folder: Path, owner: str, tokenizer: Tokenizer, documents: int, tokens: int, files: Mapping[str, File]
) -> Manifest:
    """Write the manifest of a segment whose other files, by name, are there."""
    manifest = Manifest(
        format=FORMAT,
        owner=owner,
        documents=documents,
        tokens=tokens,
        dtype=tokenizer.dtype.name,
        width=width_for(tokens + documents),
        vocabulary=tokenizer.size,
        tokenizer=tokenizer.fingerprint,
        files={f"{name}.bin": files[name] for name in FILES},
    )
    write_durably(folder / "manifest.json", manifest.model_dump_json(indent=2).encode("utf-8"))
    return manifest
