"""Adding, updating and deleting documents while the datastore is searched."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from services.retrieval.datastore import coding, manifest, tombstones
from services.retrieval.datastore.added import ADDING, Span, current
from services.retrieval.datastore.catalogue import Catalogue, Datastore
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.durable import publish
from services.retrieval.datastore.embed import Embedder
from services.retrieval.datastore.generation import changing
from services.retrieval.datastore.layout import Layout
from services.retrieval.datastore.layout import read as read_layout
from services.retrieval.datastore.manifest import COMPACTDS, EncoderStamp, Manifest
from services.retrieval.datastore.passages import Passages
from services.retrieval.datastore.renew import digest
from services.retrieval.datastore.segment import Segment, write_texts
from services.retrieval.datastore.unstored import SegmentVectors, drop_vectors
from services.retrieval.datastore.vectors import Embedders, Second, no_second
from services.retrieval.encoders.base import Encoder
from shared.owners import Owner

_GONE = ".removed-"


@dataclass(frozen=True)
class Added:
    """What an addition was: the ids, those of them that stood there before, and how many passages they make."""

    ids: list[str]
    replaced: list[str]
    passages: int


class Writer:
    """Changes the datastores of a folder, one change at a time. What a call has done is on disk when it returns, and in
    the catalogue's next answer.

    Every addition is a segment of its own, which `merge` puts together with others of its size: so n additions leave
    about log n segments, and each document is written about log n times (Bentley and Saxe 1980).
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
        for left in (*folder.glob(f"*/*/{ADDING}*"), *folder.glob(f"*/{_GONE}*")):
            shutil.rmtree(left)  # of a process that was killed
        for place in (place for place in folder.glob("*/*") if place.is_dir()):
            _sweep(place)

    def add(self, datastore: Datastore, owner: Owner, documents: Sequence[Document]) -> Added:
        """Add these documents of one owner, in the place of any of the same id. All of them appear at once, or none.

        The ids must differ. Raises UnicodeEncodeError for a lone surrogate.
        """
        folder = self._folder / datastore.id / owner.id
        folder.mkdir(exist_ok=True)
        ordered = sorted(documents, key=lambda document: document.id)
        published = False
        while not published:
            layout = read_layout(folder.parent)
            work, passages = self._prepare(folder, ordered, [], layout)
            with changing(folder.parent):
                # else a build has meanwhile given the datastore other indexes or encoders
                if published := read_layout(folder.parent) == layout:
                    number = self._next(folder)
                    self._publish(folder, owner, Span(number, number), work, layout)
                else:
                    shutil.rmtree(work)
        replaced = [document.id for document in ordered if datastore.document(document.id, [owner.id])]
        return Added([document.id for document in ordered], replaced, passages)

    def delete(self, datastore: Datastore, owner: str, identity: str) -> bool:
        """Hide a document of an owner from now on, also in what `candor data build` makes: whether there was one.

        `merge` takes its text out of what was added, and the next build out of the rest.
        """
        if datastore.document(identity, [owner]) is None:
            return False
        folder = self._folder / datastore.id / owner
        with changing(folder.parent):
            tombstones.read(folder).and_of(identity, self._next(folder)).write(folder)
        return True

    def drop_owner(self, datastore: Datastore, owner: str) -> bool:
        """Delete all files of an owner in a datastore: whether there were any.

        LEANN's codebook, which public owners' passages were learnt from, is learnt without them if the owner was one.
        """
        folder = self._folder / datastore.id / owner
        if not folder.is_dir():
            return False
        gone = folder.with_name(f"{_GONE}{owner}-{uuid4().hex}")
        with changing(folder.parent):
            folder.rename(gone)  # out of sight at once: a kill leaves all of it or nothing
            if owner in datastore.public:
                vectors = SegmentVectors(self._embedders(datastore.layout).first, lambda _: None)
                coding.code(folder.parent, EncoderStamp.of(self._encoder.card), lambda _: None, vectors.of)
                vectors.clear()
        shutil.rmtree(gone)
        return True

    def merge(self, name: str, owner: Owner) -> None:
        """Put an owner's additions of like size together, and write those anew that hide documents, without them.

        Not for two threads at once. What is added or deleted meanwhile is not lost: it counts as later.
        """
        if (datastore := self._catalogue.get(name)) is None:
            return
        folder = self._folder / name / owner.id
        segments = _additions(datastore.of([owner.id]))
        if {*current(_spans(folder))} != segments.keys():
            return  # one is damaged: a merged segment would pass for having its documents too
        for spans in _groups({span: segment.size for span, segment in segments.items()}):
            parts = [segments[span] for span in spans]
            if len(parts) == 1 and parts[0].alive is None:
                continue
            documents = sorted((each for part in parts for each in part.kept()), key=lambda document: document.id)
            before = [folder / span.name for span in spans]
            work = self._prepare(folder, documents, before, datastore.layout)[0] if documents else None
            with changing(folder.parent):
                same = read_layout(folder.parent) == datastore.layout
                if not same or not all(part.unchanged() for part in parts):
                    # the owner was dropped, or a build changed what segments have; what was prepared goes when the next
                    # writer starts
                    return
                if work:
                    self._publish(folder, owner, _together(spans), work, datastore.layout)
                for span in spans:
                    shutil.rmtree(folder / span.name)

    def _prepare(
        self, folder: Path, documents: Sequence[Document], before: Sequence[Path], layout: Layout
    ) -> tuple[Path, int]:
        """A segment's texts and vectors in a folder that nobody looks at, and how many passages there are; `before` are
        segments that some of them may be of."""
        work = folder / f"{ADDING}{uuid4().hex}"
        finished = work / "segment"
        finished.mkdir(parents=True)
        texts = write_texts(finished, documents)
        self._embedders(layout).write(finished, texts, before, work)
        return work, len(texts)

    def _embedders(self, layout: Layout) -> Embedders:
        first = Embedder(lambda: self._encoder, EncoderStamp.of(self._encoder.card))
        exact = layout.exact
        return Embedders(first, Embedder(partial(self._second, exact), exact) if exact else None)

    def _publish(self, folder: Path, owner: Owner, span: Span, work: Path, layout: Layout) -> None:
        """Make a segment of what was prepared, with codes of the codebook there is now."""
        finished = work / "segment"
        files = manifest.stamp(finished)
        passages = Passages(finished)
        Manifest(
            format=manifest.FORMAT,
            id=span.name,
            owner=owner.id,
            public=owner.public,
            licence=owner.licence,
            read=passages.documents,
            documents=passages.documents,
            passages=len(passages),
            encoder=EncoderStamp.of(self._encoder.card),
            exact=layout.exact,
            inputs=digest(files),
            files=files,
        ).write(finished)
        coding.code_segment(finished, folder.parent)
        if COMPACTDS not in layout.indexes:
            drop_vectors(finished)
        publish(finished, folder / span.name)
        shutil.rmtree(work)

    def _next(self, folder: Path) -> int:
        """The number of the next change to an owner's documents."""
        added = [span.last for place in folder.iterdir() if (span := Span.parse(place.name))]
        return 1 + max([0, *added, *tombstones.read(folder).documents.values()])


def _sweep(owner: Path) -> None:
    """Remove the additions that were carried over into another, where a process was killed before it did."""
    spans = _spans(owner)
    for stale in spans.difference(current(spans)):
        shutil.rmtree(owner / stale.name)


def _spans(owner: Path) -> set[Span]:
    return {span for place in owner.glob("added-*") if (span := Span.parse(place.name))}


def _additions(segments: Iterable[Segment]) -> dict[Span, Segment]:
    return {span: segment for segment in segments if (span := Span.parse(segment.manifest.id))}


def _groups(sizes: Mapping[Span, int]) -> list[list[Span]]:
    """What is to be put together: each old one alone; then the newest, with those before it as long as each is less
    than twice as large as all after it."""
    spans = current(sizes)
    start = max(len(spans) - 1, 0)
    while start and sizes[spans[start - 1]] < 2 * sum(sizes[span] for span in spans[start:]):
        start -= 1
    return [*([span] for span in spans[:start]), *([spans[start:]] if spans else [])]


def _together(spans: Sequence[Span]) -> Span:
    version = max(span.version for span in spans)
    return Span(spans[0].first, spans[-1].last, version if len(spans) > 1 else version + 1)
