"""The datastores that can be searched, opened once when the service starts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.manifest import BadSegment, EncoderStamp
from services.retrieval.datastore.segment import Segment
from services.retrieval.datastore.work import UNFINISHED
from services.retrieval.encoders.base import Card
from services.retrieval.leann.codebook import BadCodebook, Codebook
from services.retrieval.leann.codebook import read as read_codebook

_LEFT_OUT_OF_LEANN = "the index `leann` is without it until `candor data build` has made it anew"


@dataclass(frozen=True)
class Datastore:
    """The whole segments of a datastore in order of owner and name, its codebook, and warnings on what is left out."""

    id: str
    segments: list[Segment]
    codebook: Codebook | None
    warnings: list[str]

    @property
    def owners(self) -> list[str]:
        """Owners of at least one segment."""
        return list(dict.fromkeys(segment.manifest.owner for segment in self.segments))

    @property
    def public(self) -> list[str]:
        """Owners whose data anyone may read."""
        return list(dict.fromkeys(segment.manifest.owner for segment in self.segments if segment.manifest.public))

    def of(self, owners: Collection[str]) -> list[Segment]:
        """The segments of these owners."""
        return [segment for segment in self.segments if segment.manifest.owner in owners]

    def document(self, identity: str, owners: Collection[str]) -> tuple[Segment, Document] | None:
        """A document of one of these owners with its segment, or None."""
        for segment in self.of(owners):
            if document := segment.passages.document(identity):
                return segment, document
        return None


def open_datastores(folder: Path, card: Card) -> list[Datastore]:
    """Open every datastore in a folder. A segment that is damaged, unfinished or of another encoder is left out."""
    return [_open(place, EncoderStamp.of(card)) for place in _folders(folder)]


def _open(folder: Path, encoder: EncoderStamp) -> Datastore:
    segments: list[Segment] = []
    warnings: list[str] = []
    codebook = _codebook(folder, encoder, warnings)
    for place in (segment for owner in _folders(folder) for segment in _folders(owner)):
        try:
            if place.name.startswith(UNFINISHED):
                raise BadSegment(place, "a build of it has not finished")
            segment = Segment(place, codebook)
            if segment.manifest.encoder != encoder:
                made = segment.manifest.encoder
                raise BadSegment(place, f"its vectors are of encoder {made.name} {made.revision}, which is not loaded")
            segments.append(segment)
            if codebook and segment.codes is None:
                name = f"{segment.manifest.owner}/{segment.manifest.id}"
                warnings.append(f"{folder.name}: segment {name} has no codes for LEANN; {_LEFT_OUT_OF_LEANN}")
        except BadSegment as error:
            warnings.append(f"{folder.name}: {error}; it is left out until `candor data build` has made it anew")
    return Datastore(folder.name, segments, codebook, warnings)


def _codebook(folder: Path, encoder: EncoderStamp, warnings: list[str]) -> Codebook | None:
    try:
        return read_codebook(folder, encoder)
    except BadCodebook as error:
        warnings.append(f"{folder.name}: {error}; {_LEFT_OUT_OF_LEANN}")
        return None


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir())
