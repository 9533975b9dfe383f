"""LEANN's part of a datastore: one codebook, trained on the public owners' passages, and codes in every segment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore import manifest
from services.retrieval.datastore.durable import sync
from services.retrieval.datastore.manifest import BadSegment, EncoderStamp, Manifest
from services.retrieval.datastore.segment import VECTORS
from services.retrieval.leann import codebook, codes
from services.retrieval.leann.codebook import BadCodebook, Codebook, Origin
from services.retrieval.leann.quantiser import train

Vectors = Callable[[Path], NDArray[Any]]
"""Gives the vectors of a segment's folder."""


def code(target: Path, encoder: EncoderStamp, tell: Callable[[str], None], vectors: Vectors) -> None:
    """Bring the codebook of a datastore's folder in line with its public segments, and all codes with the codebook.

    The codebook is trained anew whenever the public segments have changed: so the datastore is what its texts make it,
    whatever was in it before, and nothing of an owner who has left it or is public no more stays in the codebook.
    """
    segments = list(_segments(target, encoder))
    book = _codebook(target, encoder, [segment for segment in segments if segment[1].public], tell, vectors)
    for folder, present in segments:
        if present.codebook != book.id:
            _code(folder, present, book, vectors(folder))
            tell(f"{present.owner}/{present.id}: {present.passages} codes for LEANN")


def code_segment(folder: Path, target: Path) -> None:
    """Give a new segment, which has its vectors, codes of the codebook that its datastore has now, if it has one."""
    present = manifest.parse(folder)
    try:
        book = codebook.read(target, present.encoder)
    except BadCodebook:
        return
    _code(folder, present, book, np.load(folder / VECTORS, mmap_mode="r"))


def _segments(target: Path, encoder: EncoderStamp) -> Iterator[tuple[Path, Manifest]]:
    """Every whole segment with vectors of this encoder, in order of owner and name."""
    for folder in sorted(target.glob("*/*")):
        if folder.is_dir() and not folder.name.startswith("."):
            try:
                present = manifest.load(folder)
            except BadSegment:
                continue  # the service names it
            if present.encoder == encoder:
                yield folder, present


def _codebook(
    target: Path,
    encoder: EncoderStamp,
    public: Sequence[tuple[Path, Manifest]],
    tell: Callable[[str], None],
    vectors: Vectors,
) -> Codebook:
    origin = Origin(
        encoder=encoder,
        segments=[f"{present.owner}/{present.id}" for _, present in public],
        passages=sum(present.passages for _, present in public),
        inputs=hashlib.sha256("".join(present.inputs for _, present in public).encode()).hexdigest(),
    )
    try:
        present = codebook.read(target, encoder)
        if present.origin == origin:
            return present
    except BadCodebook:
        pass
    book = Codebook(origin, train([vectors(folder) for folder, _ in public], encoder.dimension))
    book.write(target)
    tell(f"LEANN: a codebook from {origin.passages} passages of public owners")
    return book


def _code(folder: Path, present: Manifest, book: Codebook, vectors: NDArray[Any]) -> None:
    """Codes first, then the manifest that names them, then away with the old ones: a kill leaves a whole segment."""
    codes.Codes.write(folder, book, vectors)
    kept = {name: stamp for name, stamp in present.files.items() if not name.startswith(codes.PREFIX)}
    added = {name: manifest.stamp_file(folder / name) for name in codes.names(book)}
    for name in added:
        sync(folder / name)
    present.model_copy(update={"files": kept | added, "codebook": book.id}).write(folder)
    for path in folder.glob(f"{codes.PREFIX}*"):
        if path.name not in added:
            path.unlink()
