"""What a segment says of itself, and the check that its files are what it says."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from threading import Event

from pydantic import BaseModel, ConfigDict, ValidationError

from services.retrieval.encoders.base import Card
from shared.durable import replace

FORMAT = 2
NAME = "manifest.json"

_PIECES, _PIECE = 64, 4096
_BLOCK = 1 << 20

COMPACTDS = "compactds"
INDEXES = (COMPACTDS, "leann", "bm25")
"""Of a segment. Without the first it has no vectors on disk; the others are small, and every segment has them."""


class BadSegment(Exception):
    """A segment's folder cannot be used; the message says which and why."""

    def __init__(self, folder: Path, fault: str) -> None:
        super().__init__(f"segment {folder.parent.name}/{folder.name}: {fault}")


class BadIndexes(Exception):
    """The indexes to build are not a choice there is; the message says which there are."""


class Stopped(Exception):
    """Reading was ended before its end."""


class EncoderStamp(BaseModel):
    """Which encoder made the vectors. Vectors of different stamps must never be compared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    revision: str
    dimension: int

    @classmethod
    def of(cls, card: Card) -> EncoderStamp:
        """The stamp of an encoder."""
        return cls(name=card.name, revision=card.revision, dimension=card.dimension)


class FileStamp(BaseModel):
    """One file's size, its SHA-256, and the SHA-256 of a sample of it, which can be had of a large file at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int
    sha256: str
    sample: str


class Manifest(BaseModel):
    """manifest.json. `inputs` is a hash of all that decides the texts and vectors, so that unchanged input is not
    redone; `codebook` is that of the segment's LEANN codes, if it has any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    id: str
    owner: str
    public: bool
    licence: str
    read: int = 0
    """Documents read; those not in `documents` are in `dropped`."""
    broken: int = 0
    """What is in the files and could not be read."""
    dropped: dict[str, int] = {}
    """Documents left out, by the rule that left them out."""
    cut: dict[str, int] = {}
    """What was taken out of documents that stay."""
    queries: str = ""
    """A hash of the evaluation queries that were taken out of the texts; empty for none."""
    documents: int
    passages: int
    encoder: EncoderStamp
    exact: EncoderStamp | None = None
    """Of the vectors of the exact stage, if they are of a second encoder."""
    inputs: str
    codebook: str | None = None
    indexes: list[str] = list(INDEXES)
    files: dict[str, FileStamp]

    def write(self, folder: Path) -> None:
        """Write it so that a reader sees the old one or the new one, whole, also after power was lost."""
        replace(folder / NAME, self.model_dump_json(indent=2).encode())


def check_indexes(indexes: Collection[str], exact: str | None = None) -> None:
    """Raises BadIndexes for a choice that cannot be built; `exact` names the second encoder, if there is to be one."""
    if {*indexes} | {COMPACTDS} != {*INDEXES}:
        given = ",".join(indexes)
        raise BadIndexes(f"The indexes are {','.join(INDEXES)}, of which {COMPACTDS} can be left out; not {given!r}.")
    if exact and COMPACTDS not in indexes:
        raise BadIndexes(
            f"The encoder {exact!r} is for the exact scores of {COMPACTDS}, which is left out: give --exact none."
        )


def stamp(folder: Path) -> dict[str, FileStamp]:
    """The stamps of all files of a folder but the manifest."""
    return {path.name: stamp_file(path) for path in sorted(folder.iterdir()) if path.name != NAME}


def load(folder: Path, *, whole: bool = True, stop: Event | None = None) -> Manifest:
    """The manifest of a segment whose files are all there and unchanged. Raises BadSegment, and Stopped once `stop` is
    set.

    If not the `whole` of each file is read, then samples of the large ones: that finds files cut short, swapped or
    overwritten, and not each lost byte, which is for reading the whole to find.
    """
    manifest = parse(folder)
    if (manifest.owner, manifest.id) != (folder.parent.name, folder.name):
        raise BadSegment(folder, f"its manifest is of {manifest.owner}/{manifest.id}")
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            # the size first: it finds a file cut short without reading it
            same = path.stat().st_size == expected.bytes and _sample(path) == expected.sample
            same = same and not (whole and stamp_file(path, stop) != expected)
        except FileNotFoundError as error:
            raise BadSegment(folder, f"{name} is missing") from error
        if not same:
            raise BadSegment(folder, f"{name} is damaged")
    return manifest


def parse(folder: Path) -> Manifest:
    """The manifest of a segment, whatever its files are. Raises BadSegment."""
    try:
        manifest = Manifest.model_validate_json((folder / NAME).read_bytes())
    except FileNotFoundError as error:
        raise BadSegment(folder, "it has no manifest, so it was not finished") from error
    except ValidationError as error:
        raise BadSegment(folder, "its manifest is damaged") from error
    if manifest.format != FORMAT:
        raise BadSegment(folder, f"it is in format {manifest.format}, and this is for format {FORMAT}")
    return manifest


def stamp_file(path: Path, stop: Event | None = None) -> FileStamp:
    """The stamp of a file. Raises Stopped once `stop` is set."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if stop and stop.is_set():
                raise Stopped
            digest.update(block)
    return FileStamp(bytes=path.stat().st_size, sha256=digest.hexdigest(), sample=_sample(path))


def _sample(path: Path) -> str:
    """The SHA-256 of a small file, or of pieces of a large one at even distances, the first and the last among them."""
    size = path.stat().st_size
    if size <= _PIECES * _PIECE:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for number in range(_PIECES):
            file.seek((size - _PIECE) * number // (_PIECES - 1))
            digest.update(file.read(_PIECE))
    return digest.hexdigest()
