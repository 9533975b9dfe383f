"""Adding, updating and deleting documents while the datastore is searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from services.retrieval.datastore import coding, deletions, dropped
from services.retrieval.datastore.added import Span, current
from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.deletions import BadDeletions
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.draft import Draft
from services.retrieval.datastore.embed import Embedder
from services.retrieval.datastore.generation import Changed, changing, generation, unmarked
from services.retrieval.datastore.layout import Layout
from services.retrieval.datastore.layout import read as read_layout
from services.retrieval.datastore.manifest import BadSegment, EncoderStamp
from services.retrieval.datastore.opened import Datastore
from services.retrieval.datastore.opening import places
from services.retrieval.datastore.segment import Segment
from services.retrieval.datastore.tombstones import NONE, BadTombstones
from services.retrieval.datastore.unstored import SegmentVectors
from services.retrieval.datastore.vectors import Embedders, Second, no_second
from services.retrieval.datastore.work import UNFINISHED
from services.retrieval.encoders.base import Encoder
from services.retrieval.leann import codebook
from services.retrieval.leann.codebook import BadCodebook
from shared import workspace
from shared.durable import discard, discard_retired, retire, retired
from shared.owners import Owner


@dataclass(frozen=True)
class Added:
    """What an addition was: the ids, those of them that stood there before, and how many passages they make."""

    ids: list[str]
    replaced: list[str]
    passages: int


class Writer:
    """Changes the datastores of a folder. What a call has done is on disk when it returns, and in the catalogue's next
    answer. Several threads and processes can do so at once.

    A change is prepared for the datastore as it is, without holding it, and put in its place if the datastore is still
    that one; else it is prepared again, of which only what the change in between makes necessary takes time.

    Every addition is a segment of its own, which `merge` puts together with others of its size: so n additions leave
    about log n segments, and each document is written about log n times (Bentley and Saxe 1980).

    All methods raise BadDeletions and BadTombstones if it is not known what was deleted.
    """

    def __init__(
        self,
        folder: Path,
        catalogue: Catalogue,
        encoder: Encoder,
        second: Second = no_second,
    ) -> None:
        """`second` gives the encoder of a datastore's exact stage, where it is not the first."""
        self._folder = folder
        self._catalogue = catalogue
        self._encoder = encoder
        self._second = second

    def resume(self, name: str) -> None:
        """Finish in a datastore what processes that were killed had begun, and remove what they left behind."""
        target = self._folder / name
        workspace.sweep(target)
        deletions.adopt(target)
        if unmarked(target):
            with changing(target):
                pass
        if _stale(target):
            with changing(target):  # not while another process puts additions together
                for folder in _stale(target):
                    retire(folder, target)
        self._finish_drops(target)

    def add(self, datastore: Datastore, owner: Owner, documents: Sequence[Document]) -> Added:
        """Add these documents of one owner, in the place of any of the same id. All of them appear at once, or none.

        The ids must differ. Raises UnicodeEncodeError for a lone surrogate, and BadLayout if it is not known what the
        datastore's segments have to have.
        """
        target = self._folder / datastore.id
        read_layout(target)
        ordered = sorted(documents, key=lambda document: document.id)
        while True:
            with workspace.workspace(target) as work:
                draft = Draft(
                    work, owner, ordered, self._embedders(datastore.layout), before=[], layout=datastore.layout
                )
                while draft.layout == datastore.layout:
                    draft.code(datastore.codebook)
                    replaced = [document.id for document in ordered if datastore.document(document.id, [owner.id])]
                    try:
                        number = self._next(datastore, owner.id)
                        with changing(target, prepared_for=datastore.generation):
                            draft.publish(target / owner.id / Span(number, number).name)
                        return Added([document.id for document in ordered], replaced, draft.passages)
                    except Changed:
                        datastore = self._now(datastore)

    def delete(self, datastore: Datastore, owner: str, identity: str) -> bool:
        """Hide a document of an owner from now on, also in what `candor data build` makes: whether there was one, or
        may be one in what is left out of the datastore now.

        `merge` takes its text out of what was added, and the next build out of the rest.
        """
        target = self._folder / datastore.id
        while True:
            try:
                number = self._next(datastore, owner)
                if not datastore.document(identity, [owner]) and not self._left_out(datastore, owner):
                    return False
                with changing(target, prepared_for=datastore.generation):
                    deletions.delete(target, owner, identity, number)
                return True
            except Changed:
                datastore = self._now(datastore)

    def drop_owner(self, datastore: Datastore, owner: str) -> bool:
        """Delete all files of an owner in a datastore: whether there were any, or a drop that had not been finished.

        Once that is recorded nothing of the owner is shown, and no build takes the owner's texts in until it is told
        to. LEANN's codebook, if the owner's passages were among those it was learnt from, counts for nothing until
        `resume` has it learnt without them, which takes as long as a build's does.
        """
        target = self._folder / datastore.id
        present = deletions.read(target)
        there = (target / owner).is_dir()
        unfinished = owner in present.dropped and (present.recode or bool(retired(target)))
        if there:
            with changing(target):
                present = deletions.read(target)
                number = 1 + max([0, *(span.last for span in _spans(target / owner)), present.floor(owner)])
                present.with_owner(owner, number, recode=self._learnt_from(target, owner)).write(target)
        _remove_dropped(target)
        return there or unfinished

    def merge(self, name: str, owner: Owner) -> None:
        """Put an owner's additions of like size together, and write those anew that hide documents, without them.

        What is added or deleted meanwhile is not lost: it counts as later.
        """
        if (datastore := self._catalogue.get(name)) is None:
            return
        folder = self._folder / name / owner.id
        segments = _additions(datastore.of([owner.id]))
        if {*current(_spans(folder))} != segments.keys():
            return  # one is damaged: a merged segment would pass for having its documents too
        for spans in _groups({span: segment.size for span, segment in segments.items()}):
            parts = [segments[span] for span in spans]
            if (len(parts) > 1 or parts[0].alive is not None) and not self._put_together(datastore, owner, parts):
                return  # another process merged them, the owner was dropped, or a build changes the encoders

    def _put_together(self, datastore: Datastore, owner: Owner, parts: Sequence[Segment]) -> bool:
        """Write additions as one, or none if all that they hold is hidden: whether they were still there, and the
        datastore had the same layout."""
        target = self._folder / datastore.id
        documents = sorted((each for part in parts for each in part.kept()), key=lambda document: document.id)
        layout, before = datastore.layout, [part.folder for part in parts]
        with workspace.workspace(target) as work:
            try:
                draft = (
                    Draft(work, owner, documents, self._embedders(layout), before=before, layout=layout)
                    if documents
                    else None
                )
            except (FileNotFoundError, BadSegment):
                return False
            place = target / owner.id / _together([*_additions(parts)]).name
            while datastore.layout == layout and all(part.unchanged() for part in parts):
                if draft:
                    draft.code(datastore.codebook)
                try:
                    with changing(target, prepared_for=datastore.generation):
                        if draft:
                            draft.publish(place)
                        gone = [retire(part.folder, target) for part in parts]
                except Changed:
                    datastore = self._now(datastore)
                    continue
                for folder in gone:
                    discard(folder)
                return True
        return False

    def _finish_drops(self, target: Path) -> None:
        _remove_dropped(target)
        if deletions.read(target).recode:
            with workspace.workspace(target) as work:
                vectors = SegmentVectors(self._first(), lambda _: None, work)
                coding.code(target, self._first().stamp, lambda _: None, vectors.of)

    def _learnt_from(self, target: Path, owner: str) -> bool:
        """Whether LEANN's codebook may have been."""
        try:
            origin = codebook.origin(target)  # also one for another encoder, with which it may be searched again
        except BadCodebook:
            return True  # it is not known of whom it is
        return origin is not None and any(segment.startswith(f"{owner}/") for segment in origin.segments)

    def _embedders(self, layout: Layout) -> Embedders:
        exact = layout.exact
        return Embedders(self._first(), Embedder(partial(self._second, exact), exact) if exact else None)

    def _first(self) -> Embedder:
        return Embedder(lambda: self._encoder, EncoderStamp.of(self._encoder.card))

    def _now(self, before: Datastore) -> Datastore:
        found = self._catalogue.get(before.id)
        if found is None:
            raise FileNotFoundError(self._folder / before.id)
        return found

    def _left_out(self, datastore: Datastore, owner: str) -> bool:
        """Whether an owner has segments that are not shown."""
        target = self._folder / datastore.id
        there = places(target / owner, deletions.read(target))
        finished = {place for place in there if not place.name.startswith(UNFINISHED)}
        return not finished <= {segment.folder for segment in datastore.of([owner])}

    def _next(self, datastore: Datastore, owner: str) -> int:
        """The number of the next change to an owner's documents, in the datastore as it was opened. Raises Changed if
        it is not that one any more and what was deleted cannot be read for that."""
        target = self._folder / datastore.id
        try:
            deleted = deletions.read(target)
            gone = deleted.tombstones(target, owner, datastore.tombstones.get(owner, NONE))
        except (BadDeletions, BadTombstones) as error:
            if generation(target) != datastore.generation:
                raise Changed from error
            raise
        return 1 + max([0, *(span.last for span in _spans(target / owner)), gone.last, deleted.floor(owner)])


def _remove_dropped(target: Path) -> None:
    dropped.remove_files(target)
    discard_retired(target)


def _stale(datastore: Path) -> list[Path]:
    """The additions that were carried over into another, where a process was killed before it removed them."""
    spans = {owner: _spans(owner) for owner in datastore.glob("*") if not owner.name.startswith(".")}
    return [owner / span.name for owner, found in spans.items() for span in found.difference(current(found))]


def _spans(owner: Path) -> set[Span]:
    return {span for place in owner.glob("added-*") if (span := Span.parse(place.name))}


def _additions(segments: Iterable[Segment]) -> dict[Span, Segment]:
    return {span: segment for segment in segments if (span := Span.parse(segment.manifest.id))}


def _groups(sizes: Mapping[Span, int]) -> list[list[Span]]:
    """What is to be put together, so that each is left at least twice as large as all after it: all from the first on
    that is not. The others are alone; so are the newest that hide all they hold, which will be gone."""
    spans = current(sizes)
    end = len(spans)
    while end and not sizes[spans[end - 1]]:
        end -= 1
    sums = [sum(sizes[span] for span in spans[number:end]) for number in range(end)]
    small = (number for number in range(end - 1) if sizes[spans[number]] < 2 * sums[number + 1])
    start = next(small, max(end - 1, 0))
    alone = [*spans[:start], *spans[end:]]
    return [*([span] for span in alone), *([spans[start:end]] if end else [])]


def _together(spans: Sequence[Span]) -> Span:
    version = max(span.version for span in spans)
    return Span(spans[0].first, spans[-1].last, version if len(spans) > 1 else version + 1)
