"""Opening a datastore: which of its segments count, what each hides, and what has to be left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.retrieval.datastore import deletions, tombstones
from services.retrieval.datastore.added import Span, current
from services.retrieval.datastore.deletions import BadDeletions, Deletions
from services.retrieval.datastore.layers import layer, shown
from services.retrieval.datastore.layout import BadLayout, Layout
from services.retrieval.datastore.layout import read as read_layout
from services.retrieval.datastore.manifest import BadSegment, EncoderStamp
from services.retrieval.datastore.notice import Notice
from services.retrieval.datastore.opened import Datastore
from services.retrieval.datastore.segment import Segment, written
from services.retrieval.datastore.tombstones import BadTombstones, Tombstones
from services.retrieval.datastore.work import UNFINISHED
from services.retrieval.leann.codebook import BadCodebook, Codebook
from services.retrieval.leann.codebook import read as read_codebook

Damaged = dict[Path, tuple[object, BadSegment]]
"""What was found when a segment was read to its end, by its folder, and when that was written."""

LEFT_OUT = "it is left out until `candor data build` has made it anew"
_LOST = "it is left out: if `candor data build` does not mend it, restore it from a copy or add its documents again"
"""Of an addition, whose texts are nowhere else."""

_EMPTY = "it has nothing to search: run `candor data build`, or add documents"
_LEFT_OUT_OF_LEANN = "the index `leann` is without it until `candor data build` has made it anew"

_LEARNT_ANEW = (
    "LEANN's codebook is learnt anew, since an owner who was deleted may be in it: there is no index `leann` until "
    "that is done, by this service or by `candor data build`"
)


@dataclass(frozen=True)
class Loaded:
    """The encoder there is, whether exact scores by those of another can be had, and segments known as damaged."""

    encoder: EncoderStamp
    usable: Callable[[EncoderStamp], bool]
    damaged: Damaged


def open_datastore(folder: Path, now: bytes, loaded: Loaded, before: Datastore | None) -> Datastore:
    """The datastore in a folder, which is at the generation `now`; `before` is what it was.

    A segment that is damaged, unfinished or of other encoders is left out; an owner is if it is not known which
    documents were deleted, and all if it is not known what was. What is open and has not changed is not read again.
    """
    try:
        layout = read_layout(folder)
    except BadLayout as error:
        return Datastore(folder.name, [], None, [Notice(str(error))], now)
    if layout.exact and not loaded.usable(layout.exact):
        return Datastore(folder.name, [], None, [Notice(_lacking(folder, layout.exact))], now, layout)
    try:
        deleted = deletions.read(folder)
    except BadDeletions as error:
        text = f"{folder.name}: {error}; nothing of it is shown until then"
        return Datastore(folder.name, [], None, [Notice(text)], now, layout)
    notices: list[Notice] = []
    codebook = _codebook(folder, loaded.encoder, deleted, before, notices)
    same = before is not None and before.codebook is codebook and before.layout.exact == layout.exact
    known = {segment.folder: segment for segment in before.segments} if before and same else {}
    had = before.tombstones if before else {}
    opening = _Opening(folder, loaded, layout, deleted, codebook, known, had, notices)
    segments = [segment for owner in folders(folder) for segment in opening.of(owner)]
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
    return Datastore(folder.name, segments, codebook, notices, now, layout, opening.tombstones)


def folders(folder: Path) -> list[Path]:
    """Those in it that are not hidden, and those of builds that have not finished; none if it is not there, goes
    meanwhile or may not be read."""
    try:
        inside = sorted(folder.iterdir())
    except (FileNotFoundError, PermissionError):
        return []
    return [
        path for path in inside if path.is_dir() and (not path.name.startswith(".") or path.name.startswith(UNFINISHED))
    ]


@dataclass
class _Opening:
    """A datastore that is being opened, owner by owner."""

    folder: Path
    loaded: Loaded
    layout: Layout
    deleted: Deletions
    codebook: Codebook | None
    known: dict[Path, Segment]
    """Segments that were opened with the same codebook and encoders."""
    had: Mapping[str, Tombstones]
    notices: list[Notice]
    tombstones: dict[str, Tombstones] = field(default_factory=dict)

    def of(self, owner: Path) -> list[Segment]:
        """The segments of an owner that are shown, each hiding what is not to be seen of it."""
        try:
            gone = self.deleted.tombstones(self.folder, owner.name, self.had.get(owner.name, tombstones.NONE))
        except BadTombstones as error:
            return self._hidden(owner, f"{error}; nothing of the owner is shown until then")
        self.tombstones[owner.name] = gone
        found, unread = [], []
        for place in places(owner, self.deleted):
            try:
                found.append(self._segment(place))
            except BadSegment as error:
                what = _LOST if Span.parse(place.name) else LEFT_OUT
                self.notices.append(Notice(f"{self.folder.name}: {error}; {what}", owner.name))
                if Span.parse(place.name):
                    unread.append(place)
        try:
            return shown(found, gone, [layer(place) for place in unread])
        except BadSegment as error:
            return self._hidden(owner, f"{error}; nothing of {owner.name} is shown: it may have replaced any of it")

    def _hidden(self, owner: Path, why: str) -> list[Segment]:
        self.notices.append(Notice(f"{self.folder.name}: {why}", owner.name))
        return []

    def _segment(self, place: Path) -> Segment:
        if place in self.loaded.damaged and written(place) == self.loaded.damaged[place][0]:
            raise self.loaded.damaged[place][1]
        if place.name.startswith(UNFINISHED):
            raise BadSegment(place, "a build of it has not finished")
        if (known := self.known.get(place)) and known.unchanged():
            return known
        segment = Segment(place, self.codebook, self.layout.exact)
        if segment.manifest.encoder != self.loaded.encoder:
            made = segment.manifest.encoder
            raise BadSegment(place, f"its vectors are of encoder {made.name} {made.revision}, which is not loaded")
        return segment


def places(owner: Path, deleted: Deletions) -> list[Path]:
    """The folders of an owner's segments, less those from before it was dropped, those of additions that were carried
    over into another, and unfinished work on a segment that is there."""
    inside = folders(owner)
    names = {place.name for place in inside}
    places = {
        place: Span.parse(place.name)
        for place in inside
        if not place.name.startswith(UNFINISHED) or place.name.removeprefix(UNFINISHED) not in names
    }
    count = current(span for span in places.values() if span)
    floor = deleted.floor(owner.name)
    return [
        place
        for place, span in places.items()
        if (span is None or span in count) and (span.last if span else 0) > floor
    ]


def _codebook(
    folder: Path, encoder: EncoderStamp, deleted: Deletions, before: Datastore | None, notices: list[Notice]
) -> Codebook | None:
    """That of before if it is the same; none while it may have been learnt from an owner who was dropped."""
    if deleted.recode:
        notices.append(Notice(f"{folder.name}: {_LEARNT_ANEW}"))
        return None
    try:
        found = read_codebook(folder, encoder)
    except BadCodebook as error:
        notices.append(Notice(f"{folder.name}: {error}; {_LEFT_OUT_OF_LEANN}"))
        return None
    return before.codebook if before and before.codebook and before.codebook.id == found.id else found


def _lacking(folder: Path, exact: EncoderStamp) -> str:
    return (
        f"{folder.name}: its exact scores are of encoder {exact.name} {exact.revision}, which is not in the models "
        "folder, so nothing is searched: put it there and start again, or run `candor data build --exact none`"
    )
