"""The datastores that can be searched, as they are on disk now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

from services.retrieval.datastore import deletions, manifest, tombstones
from services.retrieval.datastore.added import Span, current
from services.retrieval.datastore.deletions import BadDeletions, Deletions
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.generation import generation, unchanging
from services.retrieval.datastore.layers import layer, shown
from services.retrieval.datastore.layout import BadLayout, Layout
from services.retrieval.datastore.layout import read as read_layout
from services.retrieval.datastore.manifest import BadSegment, EncoderStamp, Stopped
from services.retrieval.datastore.notice import Notice
from services.retrieval.datastore.segment import Segment, written
from services.retrieval.datastore.tombstones import BadTombstones, Tombstones
from services.retrieval.datastore.work import UNFINISHED
from services.retrieval.encoders.base import Card
from services.retrieval.leann.codebook import BadCodebook, Codebook
from services.retrieval.leann.codebook import read as read_codebook

Damaged = dict[Path, tuple[object, BadSegment]]
"""What was found when a segment was read to its end, by its folder, and when that was written."""

_LEFT_OUT = "it is left out until `candor data build` has made it anew"
_EMPTY = "it has nothing to search: run `candor data build`, or add documents"
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
    generation: bytes
    layout: Layout = field(default_factory=Layout)
    tombstones: Mapping[str, Tombstones] = field(default_factory=dict)
    """By owner, as far as they could be read."""

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

    def __init__(self, folder: Path, card: Card, usable: Callable[[EncoderStamp], bool] = lambda _: True) -> None:
        """`usable` says whether exact scores by vectors of another encoder can be had: of a datastore that has a second
        one which is not there, nothing is shown."""
        self._folder = folder
        self._encoder = EncoderStamp.of(card)
        self._usable = usable
        self._open: dict[str, Datastore] = {}
        self._opening = Lock()
        self._damaged: Damaged = {}

    def get(self, name: str) -> Datastore | None:
        """A datastore as it is now, or None if there is none of this name."""
        place = self._folder / name
        if name.startswith(".") or place.parent != self._folder or not place.is_dir():
            return None
        known = self._open.get(name)
        if known and known.generation == generation(place):
            return known
        with self._opening:
            known = self._open.get(name)
            if known and known.generation == generation(place):
                return known
            with unchanging(place) as now:
                made = _open(place, now, self._encoder, self._usable, before=known, damaged=self._damaged)
            self._open[name] = made
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
                        found.append(f"{datastore.id}: {error}; {_LEFT_OUT}")
                        with self._opening:
                            self._damaged[segment.folder] = segment.written, error
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


def _open(
    folder: Path,
    now: bytes,
    encoder: EncoderStamp,
    usable: Callable[[EncoderStamp], bool],
    *,
    before: Datastore | None,
    damaged: Damaged,
) -> Datastore:
    """A segment that is damaged, unfinished or of other encoders is left out; an owner is if it is not known which
    documents were deleted, and all if it is not known what was. What is open and has not changed is not read again."""
    try:
        layout = read_layout(folder)
    except BadLayout as error:
        return Datastore(folder.name, [], None, [Notice(str(error))], now)
    exact = layout.exact
    if exact and not usable(exact):
        return Datastore(folder.name, [], None, [Notice(_lacking(folder, exact))], now, layout)
    try:
        deleted = deletions.read(folder)
    except BadDeletions as error:
        text = f"{folder.name}: {error}; nothing of it is shown until then"
        return Datastore(folder.name, [], None, [Notice(text)], now, layout)
    notices: list[Notice] = []
    codebook = _codebook(folder, encoder, notices)
    if before and before.codebook and codebook and before.codebook.id == codebook.id:
        codebook = before.codebook
    same = before and before.codebook is codebook and before.layout.exact == exact
    known = {segment.folder: segment for segment in before.segments} if before and same else {}
    segments: list[Segment] = []
    gone: dict[str, Tombstones] = {}
    for owner in _folders(folder):
        try:
            had = before.tombstones.get(owner.name, tombstones.NONE) if before else tombstones.NONE
            gone[owner.name] = deleted.tombstones(folder, owner.name, had)
        except BadTombstones as error:
            text = f"{folder.name}: {error}; nothing of the owner is shown until the file is mended"
            notices.append(Notice(text, owner.name))
            continue
        found, unread = [], []
        for place in _places(owner, deleted):
            try:
                if place in damaged and written(place) == damaged[place][0]:
                    raise damaged[place][1]
                found.append(_segment(place, encoder, exact, codebook, known.get(place)))
            except BadSegment as error:
                notices.append(Notice(f"{folder.name}: {error}; {_LEFT_OUT}", owner.name))
                if Span.parse(place.name):
                    unread.append(place)
        try:
            segments.extend(shown(found, gone[owner.name], [layer(place) for place in unread]))
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
    if not segments:
        notices.append(Notice(f"{folder.name}: {_EMPTY}"))
    return Datastore(folder.name, segments, codebook, notices, now, layout, gone)


def _lacking(folder: Path, exact: EncoderStamp) -> str:
    return (
        f"{folder.name}: its exact scores are of encoder {exact.name} {exact.revision}, which is not in the models "
        "folder, so nothing is searched: put it there and start again, or run `candor data build --exact none`"
    )


def _segment(
    place: Path,
    encoder: EncoderStamp,
    exact: EncoderStamp | None,
    codebook: Codebook | None,
    known: Segment | None,
) -> Segment:
    if place.name.startswith(UNFINISHED):
        raise BadSegment(place, "a build of it has not finished")
    if known and known.unchanged():
        return known
    segment = Segment(place, codebook, exact)
    if segment.manifest.encoder != encoder:
        made = segment.manifest.encoder
        raise BadSegment(place, f"its vectors are of encoder {made.name} {made.revision}, which is not loaded")
    return segment


def _places(owner: Path, deleted: Deletions) -> list[Path]:
    """The folders of an owner's segments, less those from before it was dropped, and those of additions that were
    carried over into another."""
    places = {place: Span.parse(place.name) for place in _folders(owner)}
    count = current(span for span in places.values() if span)
    floor = deleted.floor(owner.name)
    return [
        place
        for place, span in places.items()
        if (span is None or span in count) and (span.last if span else 0) > floor
    ]


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
