"""The datastores that can be searched, as they are on disk now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock

from services.retrieval.datastore import manifest, tombstones
from services.retrieval.datastore.added import Span, current
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.generation import generation, unchanging
from services.retrieval.datastore.layers import layer, shown
from services.retrieval.datastore.manifest import BadSegment, EncoderStamp, Stopped
from services.retrieval.datastore.notice import Notice
from services.retrieval.datastore.segment import Segment, written
from services.retrieval.datastore.tombstones import BadTombstones
from services.retrieval.datastore.work import UNFINISHED
from services.retrieval.encoders.base import Card
from services.retrieval.leann.codebook import BadCodebook, Codebook
from services.retrieval.leann.codebook import read as read_codebook

Damaged = dict[Path, tuple[object, BadSegment]]
"""What was found when a segment was read to its end, by its folder, and when that was written."""

_LEFT_OUT = "it is left out until `candor data build` has made it anew"
_LEFT_OUT_OF_LEANN = "the index `leann` is without it until `candor data build` has made it anew"


@dataclass(frozen=True)
class Datastore:
    """The whole segments of a datastore in order of owner and name, its codebook, and notices of what is left out.

    It does not change: a change on disk makes another one.
    """

    id: str
    segments: list[Segment]
    codebook: Codebook | None
    notices: list[Notice]

    @property
    def warnings(self) -> list[str]:
        """The texts of all notices, for who may read of every owner."""
        return [notice.text for notice in self.notices]

    @property
    def owners(self) -> list[str]:
        """Owners of at least one segment."""
        return list(dict.fromkeys(segment.manifest.owner for segment in self.segments))

    @property
    def public(self) -> list[str]:
        """Owners whose data anyone may read: all their segments say so."""
        private = {segment.manifest.owner for segment in self.segments if not segment.manifest.public}
        return [owner for owner in self.owners if owner not in private]

    def of(self, owners: Collection[str]) -> list[Segment]:
        """The segments of these owners."""
        return [segment for segment in self.segments if segment.manifest.owner in owners]

    def document(self, identity: str, owners: Collection[str]) -> tuple[Segment, Document] | None:
        """A document of one of these owners with its segment, or None."""
        for segment in self.of(owners):
            if document := segment.document(identity):
                return segment, document
        return None


class Catalogue:
    """Every datastore in a folder, for vectors of one encoder. Safe to use from several threads."""

    def __init__(self, folder: Path, card: Card) -> None:
        self._folder = folder
        self._encoder = EncoderStamp.of(card)
        self._open: dict[str, tuple[object, Datastore]] = {}
        self._opening = Lock()
        self._damaged: Damaged = {}

    def get(self, name: str) -> Datastore | None:
        """A datastore as it is now, or None if there is none of this name."""
        place = self._folder / name
        if name.startswith(".") or place.parent != self._folder or not place.is_dir():
            return None
        known = self._open.get(name)
        if known and known[0] == generation(place):
            return known[1]
        with self._opening:
            known = self._open.get(name)
            if known and known[0] == generation(place):
                return known[1]
            with unchanging(place) as now:
                made = _open(place, self._encoder, known[1] if known else None, self._damaged)
            self._open[name] = (now, made)
        return made

    def check(self, stop: Event | None = None) -> list[str]:
        """Read every file of every segment to its end, and leave out what is damaged; warnings on it. It ends early
        once it is told to stop.

        Opening a segment reads samples of its large files only, so that a service with much data starts at once.
        """
        found: list[str] = []
        for datastore in self.all():
            for segment in datastore.segments:
                try:
                    manifest.load(segment.folder, stop=stop)
                except Stopped:
                    return found
                except BadSegment as error:
                    if segment.unchanged():  # else it was merged or built anew meanwhile
                        self._damaged[segment.folder] = segment.written, error
                        found.append(f"{datastore.id}: {error}; {_LEFT_OUT}")
            if any(segment.folder in self._damaged for segment in datastore.segments):
                self._open.pop(datastore.id, None)
        return found

    def warnings(self) -> list[str]:
        """On what is left out of any datastore now."""
        return [warning for datastore in self.all() for warning in datastore.warnings]

    def all(self) -> list[Datastore]:
        """Every datastore, in order of name."""
        return [found for place in _folders(self._folder) if (found := self.get(place.name))]


def open_datastores(folder: Path, card: Card) -> list[Datastore]:
    """Every datastore in a folder, as it is now."""
    return Catalogue(folder, card).all()


def _open(folder: Path, encoder: EncoderStamp, before: Datastore | None, damaged: Damaged) -> Datastore:
    """A segment that is damaged, unfinished or of another encoder is left out, and so is an owner if it is not known
    what was deleted. Segments that are open and have not changed are not opened again."""
    notices: list[Notice] = []
    codebook = _codebook(folder, encoder, notices)
    if before and before.codebook and codebook and before.codebook.id == codebook.id:
        codebook = before.codebook
    known = {segment.folder: segment for segment in before.segments} if before and before.codebook is codebook else {}
    segments: list[Segment] = []
    for owner in _folders(folder):
        try:
            deleted = tombstones.read(owner)
        except BadTombstones as error:
            text = f"{folder.name}: {error}; nothing of the owner is shown until the file is mended"
            notices.append(Notice(text, owner.name))
            continue
        found, unread = [], []
        for place in _places(owner):
            try:
                if place in damaged and written(place) == damaged[place][0]:
                    raise damaged[place][1]
                found.append(_segment(place, encoder, codebook, known.get(place)))
            except BadSegment as error:
                notices.append(Notice(f"{folder.name}: {error}; {_LEFT_OUT}", owner.name))
                if Span.parse(place.name):
                    unread.append(place)
        try:
            segments.extend(shown(found, deleted, [layer(place) for place in unread]))
        except BadSegment as error:
            text = f"{folder.name}: {error}; nothing of {owner.name} is shown: it may have replaced any of it"
            notices.append(Notice(text, owner.name))
    if codebook:
        lacking = [segment.manifest for segment in segments if segment.codes is None]
        notices.extend(
            Notice(
                f"{folder.name}: segment {made.owner}/{made.id} has no codes for LEANN; {_LEFT_OUT_OF_LEANN}",
                made.owner,
            )
            for made in lacking
        )
    return Datastore(folder.name, segments, codebook, notices)


def _segment(place: Path, encoder: EncoderStamp, codebook: Codebook | None, known: Segment | None) -> Segment:
    if place.name.startswith(UNFINISHED):
        raise BadSegment(place, "a build of it has not finished")
    if known and known.unchanged():
        return known
    segment = Segment(place, codebook)
    if segment.manifest.encoder != encoder:
        made = segment.manifest.encoder
        raise BadSegment(place, f"its vectors are of encoder {made.name} {made.revision}, which is not loaded")
    return segment


def _places(owner: Path) -> list[Path]:
    """The folders of an owner's segments, less those of additions that were carried over into another."""
    spans = {place.name: span for place in _folders(owner) if (span := Span.parse(place.name))}
    count = {span.name for span in current(spans.values())}
    return [place for place in _folders(owner) if place.name not in spans or place.name in count]


def _codebook(folder: Path, encoder: EncoderStamp, notices: list[Notice]) -> Codebook | None:
    try:
        return read_codebook(folder, encoder)
    except BadCodebook as error:
        notices.append(Notice(f"{folder.name}: {error}; {_LEFT_OUT_OF_LEANN}"))
        return None


def _folders(folder: Path) -> list[Path]:
    """Those that are not hidden, and those of builds that have not finished."""
    return sorted(
        path
        for path in folder.glob("*")
        if path.is_dir() and (not path.name.startswith(".") or path.name.startswith(UNFINISHED))
    )
