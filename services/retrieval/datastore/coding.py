"""LEANN's part of a datastore: one codebook, trained on the public owners' passages, and codes in every segment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from services.retrieval.datastore import deletions, manifest
from services.retrieval.datastore.added import Span
from services.retrieval.datastore.deletions import Deletions
from services.retrieval.datastore.generation import changing
from services.retrieval.datastore.manifest import BadSegment, EncoderStamp, FileStamp, Manifest
from services.retrieval.datastore.opening import folders
from services.retrieval.datastore.segment import written
from services.retrieval.leann import codebook, codes
from services.retrieval.leann.codebook import BadCodebook, Codebook, Origin
from services.retrieval.leann.quantiser import train
from shared.durable import sync
from shared.lock import locked

Vectors = Callable[[Path], NDArray[Any]]
"""Gives the vectors of a segment's folder."""

_LOCK = ".coding"


def code(target: Path, encoder: EncoderStamp, tell: Callable[[str], None], vectors: Vectors) -> None:
    """Bring the codebook of a datastore's folder in line with its public segments, and all codes with the codebook.

    The codebook is trained anew whenever the public segments have changed: so the datastore is what its texts make it,
    whatever was in it before, and nothing of an owner who has left it or is public no more stays in the codebook.

    All is made beside what there is, while the datastore is searched and changed, and then put in its place at once; if
    a segment came or went meanwhile, what that changes is made first.
    """
    with locked(target / _LOCK):
        coding = _Coding(target, encoder, tell, vectors)
        while not coding.done():
            pass


@dataclass(frozen=True)
class _Whole:
    """A segment whose files are as its manifest says, and when that was written."""

    written: object
    manifest: Manifest


@dataclass
class _Coding:
    """Codes that are being made. `done` makes what is lacking and publishes all, or says that something changed."""

    target: Path
    encoder: EncoderStamp
    tell: Callable[[str], None]
    vectors: Vectors
    whole: dict[Path, _Whole] = field(default_factory=dict)
    learnt: dict[Path, _Whole] = field(default_factory=dict)
    """What the codebook was trained on."""
    book: Codebook | None = None
    trained: bool = False
    """Whether the codebook is a new one."""
    coded: dict[Path, tuple[_Whole, dict[str, FileStamp]]] = field(default_factory=dict)

    def done(self) -> bool:
        """Whether there are a codebook and codes of all that is there, in their places."""
        seen = _seen(self.target, deletions.read(self.target))
        self.whole = self._whole(seen)
        try:
            book = self._prepared()
        except FileNotFoundError:
            if _seen(self.target, deletions.read(self.target)) == seen:
                raise
            return False  # a segment was taken away
        with changing(self.target):
            deleted = deletions.read(self.target)
            if _seen(self.target, deleted) != seen:
                return False
            if self.trained:
                book.write(self.target)
            for folder, (part, files) in self.coded.items():
                if self.whole.get(folder) == part:
                    _name_codes(folder, part.manifest, book, files)
            if deleted.recode:
                deleted.model_copy(update={"recode": False}).write(self.target)
        return True

    def _prepared(self) -> Codebook:
        """The codebook, with codes of all segments that have none of it."""
        # what came later is for the next time, as any later addition is; what has gone must not stay in it
        if self.book is None or any(self.whole.get(folder) != part for folder, part in self.learnt.items()):
            self.learnt = {folder: part for folder, part in self.whole.items() if part.manifest.public}
            self.book, self.trained = self._codebook()
            self.coded = {}
        for folder, part in self.whole.items():
            if part.manifest.codebook != self.book.id and not (folder in self.coded and self.coded[folder][0] == part):
                self.coded[folder] = part, _write_codes(folder, self.book, self.vectors(folder))
                self.tell(f"{part.manifest.owner}/{part.manifest.id}: {part.manifest.passages} codes for LEANN")
        return self.book

    def _whole(self, seen: Mapping[Path, object]) -> dict[Path, _Whole]:
        """Every whole segment with vectors of this encoder, in order of owner and name."""
        found = {}
        for folder, when in seen.items():
            if (known := self.whole.get(folder)) and known.written == when:
                found[folder] = known
                continue
            try:
                present = manifest.load(folder)
            except BadSegment:
                continue  # the service names it
            if present.encoder == self.encoder:
                found[folder] = _Whole(when, present)
        return found

    def _codebook(self) -> tuple[Codebook, bool]:
        public = [part.manifest for part in self.learnt.values()]
        origin = Origin(
            encoder=self.encoder,
            segments=[f"{present.owner}/{present.id}" for present in public],
            passages=sum(present.passages for present in public),
            inputs=hashlib.sha256("".join(present.inputs for present in public).encode()).hexdigest(),
        )
        try:
            present = codebook.read(self.target, self.encoder)
            if present.origin == origin:
                return present, False
        except BadCodebook:
            pass
        book = Codebook(origin, train([self.vectors(folder) for folder in self.learnt], self.encoder.dimension))
        self.tell(f"LEANN: a codebook from {origin.passages} passages of public owners")
        return book, True


def _seen(target: Path, deleted: Deletions) -> dict[Path, object]:
    """The segments that count and when they were written, in order of owner and name."""
    found: dict[Path, object] = {}
    for folder in (folder for owner in folders(target) for folder in folders(owner)):
        span = Span.parse(folder.name)
        if folder.name.startswith(".") or (span.last if span else 0) <= deleted.floor(folder.parent.name):
            continue
        try:
            found[folder] = written(folder)
        except (BadSegment, NotADirectoryError):
            continue
    return found


def _write_codes(folder: Path, book: Codebook, vectors: NDArray[Any]) -> dict[str, FileStamp]:
    """Write codes into a segment's folder, to disk; the manifest does not name them yet."""
    codes.Codes.write(folder, book, vectors)
    for name in codes.names(book):
        sync(folder / name)
    return {name: manifest.stamp_file(folder / name) for name in codes.names(book)}


def _name_codes(folder: Path, present: Manifest, book: Codebook, files: Mapping[str, FileStamp]) -> None:
    """Name codes in the manifest, then away with the old ones: a kill leaves a whole segment."""
    kept = {name: stamp for name, stamp in present.files.items() if not name.startswith(codes.PREFIX)}
    present.model_copy(update={"files": kept | {**files}, "codebook": book.id}).write(folder)
    for path in folder.glob(f"{codes.PREFIX}*"):
        if path.name not in files:
            path.unlink()
