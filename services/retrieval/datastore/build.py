"""Building a datastore: from CANDOR_HOME/texts/OWNER to CANDOR_HOME/retrieval/DATASTORE/OWNER/SOURCE/."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from services.retrieval.bm25 import words
from services.retrieval.compactds.ann import FLAT_BELOW
from services.retrieval.datastore import coding, deletions, dropped, layout, manifest
from services.retrieval.datastore.added import Span, current
from services.retrieval.datastore.chunks import WORDS
from services.retrieval.datastore.documents import Broken
from services.retrieval.datastore.embed import PASSAGES, Embedder
from services.retrieval.datastore.generation import changing, unchanging
from services.retrieval.datastore.ingest.decontaminate import Queries
from services.retrieval.datastore.ingest.joined import Account, Joined, join
from services.retrieval.datastore.ingest.prepare import RULES
from services.retrieval.datastore.ingest.reading import read
from services.retrieval.datastore.ingest.shardfile import ShardFile
from services.retrieval.datastore.ingest.shards import BYTES
from services.retrieval.datastore.ingest.sources import Source, sources
from services.retrieval.datastore.keys import Digests
from services.retrieval.datastore.layout import Layout
from services.retrieval.datastore.manifest import COMPACTDS, INDEXES, BadSegment, EncoderStamp, Manifest
from services.retrieval.datastore.opening import folders
from services.retrieval.datastore.passages import Passages
from services.retrieval.datastore.renew import due, renew
from services.retrieval.datastore.segment import write_texts
from services.retrieval.datastore.tombstones import BadTombstones
from services.retrieval.datastore.unstored import SegmentVectors, drop_vectors
from services.retrieval.datastore.vectors import Embedders
from services.retrieval.datastore.work import UNFINISHED
from services.retrieval.encoders.base import Card, Encoder, Loadable
from shared.builder import only_builder
from shared.durable import discard, discard_retired, publish, retire, settle
from shared.owners import Owner
from shared.schedule import Here, Once, Scheduler

Tell = Callable[[str], None]


_FINISHED = "segment"


class NothingToBuild(Exception):
    """No owner has any text."""


class _Dropped(Exception):
    """The owner was dropped while it was built."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of a shard that is read, passages of a shard that is embedded, and vectors below which there is no
    inverted file."""

    bytes: int = BYTES
    passages: int = PASSAGES
    flat_below: int = FLAT_BELOW


@dataclass
class Report:
    """What a build did, by names of segments as OWNER/SOURCE. `accounts` are of what was built."""

    built: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    """Owners whose texts were left out, since they were dropped from the datastore."""
    unknown: list[str] = field(default_factory=list)
    """On owners of whom nothing was built, since it is not known which documents were deleted."""
    broken: list[Broken] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)


def build(
    home: Path,
    owners: Sequence[Owner],
    card: Card,
    load: Callable[[], Encoder],
    tell: Tell,
    *,
    queries: Queries | None = None,
    datastore: str = "main",
    indexes: Collection[str] = INDEXES,
    exact: Loadable | None = None,
    sizes: Sizes | None = None,
    scheduler: Scheduler | None = None,
    restore: Collection[str] = (),
) -> Report:
    """Bring a datastore in line with the texts of these owners: build what is new or changed, remove what has no
    source any more, give what was added through the API vectors of the present encoders, leave the rest; then LEANN's
    codebook and codes. Segments of owners not given are not touched, but for their codes when the codebook has changed.

    A segment appears whole or not at all. After a kill the next build goes on with the shard it was at, and the result
    is that of a build that was not killed. `queries` are evaluation queries, which are taken out of the texts. `load`
    loads the encoder of the card, and is called once something is to be embedded; `tell` is told each step in a line.
    `scheduler` reads and embeds the shards, by default this process; which one did makes no difference to the result.
    Without "compactds" among the `indexes` no vectors stay on disk: what is built then needs no other embedding, but a
    segment that changes is embedded whole, and all are when a change of public text makes a new codebook.
    An owner who was dropped from the datastore is left out until a build is told to `restore` it. `exact` is a second
    encoder, whose vectors give the exact scores of "compactds". The datastore has it once all is built: until then a
    service searches by the first alone.
    Raises NothingToBuild without any text, BuildRunning while another process builds this datastore, BadIndexes,
    NotDropped for an owner to restore who was not, and BadDeletions if it is not known what was deleted.
    """
    manifest.check_indexes(indexes, exact.card.name if exact else None)
    found = {owner.id: sources(home, owner) for owner in owners}
    target = home / "retrieval" / datastore
    if not any(parts for parts, _ in found.values()) and not _only_added(target):
        raise NothingToBuild(f"There are no texts in {home / 'texts'}: run `candor data pull` first.")
    target.mkdir(parents=True, exist_ok=True)
    size, scheduler = sizes or Sizes(), scheduler or Here()
    embedders = Embedders(
        Embedder(Once(load), EncoderStamp.of(card), size.passages, scheduler),
        Embedder(Once(exact.load), EncoderStamp.of(exact.card), size.passages, scheduler) if exact else None,
    )
    builder = _Builder(target, embedders, tell, queries or Queries(), indexes, size, scheduler, Report())
    with only_builder(target):
        discard_retired(target)
        deletions.adopt(target)
        dropped.restore(target, restore)
        with changing(target):
            # vectors that no stage reads do no harm; those that a stage lacks do
            stays = layout.read(target).exact == embedders.exact
            Layout(indexes=[*indexes], exact=embedders.exact if stays else None).write(target)
        for owner in owners:
            parts, unreadable = found[owner.id]
            builder.owner(owner, parts, unreadable)
        builder.renew(owners)
        with changing(target):
            Layout(indexes=[*indexes], exact=embedders.exact).write(target)
        builder.renew(owners)  # what was added since
        vectors = SegmentVectors(embedders.first, tell)
        coding.code(target, EncoderStamp.of(card), tell, vectors.of)
        vectors.clear()
        if COMPACTDS not in indexes:
            builder.drop_vectors(owners)
    return builder.report


@dataclass(frozen=True)
class _Builder:
    target: Path
    embedders: Embedders
    tell: Tell
    queries: Queries
    indexes: Collection[str]
    sizes: Sizes
    scheduler: Scheduler
    report: Report

    def owner(self, owner: Owner, parts: Sequence[Source], unreadable: Sequence[Broken]) -> None:
        """Build the segments of one owner that are missing, damaged or made of something else; none if the owner was
        dropped, also if that was meanwhile."""
        self._additions(owner)
        try:
            if not self._dropped(owner):
                self._sweep(self.target / owner.id, keep={source.origin.source for source in parts})
                self._leave_out(unreadable)
                self._sources(owner, parts)
        except (_Dropped, FileNotFoundError, BadSegment):  # it was taken away under the build
            if not self._dropped(owner):
                raise
        except BadTombstones as error:
            self.report.unknown.append(f"{owner.id}: {error}; nothing of the owner is built until it is")
            self.tell(self.report.unknown[-1])
        if self._dropped(owner):
            dropped.clear(self.target, unfinished=True)
            if parts:
                self.report.dropped.append(owner.id)
                self.tell(f"{owner.id}: {dropped.LEFT_OUT.format(owner=owner.id)}")

    def _dropped(self, owner: Owner) -> bool:
        return owner.id in deletions.read(self.target).dropped

    def _sweep(self, folder: Path, keep: set[str]) -> None:
        """Remove the segments of one owner that have no source any more, and the unfinished work on such."""
        stale = [
            place
            for place in sorted(folder.glob("*"))
            if place.is_dir() and not _added(place) and place.name.removeprefix(UNFINISHED) not in keep
        ]  # what was added through the API stays until it is deleted there
        if stale:
            with changing(self.target):
                gone = [retire(place, self.target) for place in stale]
            for place in gone:
                discard(place)
        for name in (place.name for place in stale if not place.name.startswith(UNFINISHED)):
            self.report.removed.append(f"{folder.name}/{name}")
            self.tell(f"{folder.name}/{name}: removed, its source is gone")

    def _leave_out(self, broken: Sequence[Broken]) -> None:
        """Say what could not be read."""
        self.report.broken.extend(broken)
        for fault in broken:
            self.tell(f"{fault} (left out)")

    def _sources(self, owner: Owner, parts: Sequence[Source]) -> None:
        """If there may be duplicates, each segment depends on all sources: any that is read needs them all."""
        compare = any(source.deduplicated(file) for source in parts for file in source.files)
        inputs = self._inputs(owner, parts, compare)
        due = [source for source in parts if not self._unchanged(owner, source, inputs[source.name])]
        if due:
            shards = {source.name: self._read(source, compare) for source in (parts if compare else due)}
            joined = join(shards, compare)
            for source in due:
                documents = joined[source.name].without(self._deleted(owner))
                self._segment(owner, source, documents, inputs[source.name])
            for source in parts:
                shutil.rmtree(self._work(source), ignore_errors=True)

    def _additions(self, owner: Owner) -> None:
        """What was added through the API is as public as its owner."""
        with changing(self.target):
            for folder in sorted((self.target / owner.id).glob("added-*")):
                with suppress(BadSegment):  # the service names it
                    _make_public(folder, owner)

    def renew(self, owners: Sequence[Owner]) -> None:
        """What was added through the API and has not the vectors that it is to have is embedded anew."""
        for owner in owners:
            places = (self.target / owner.id).glob("added-*")
            for span in current(span for place in places if (span := Span.parse(place.name))):
                folder = self.target / owner.id / span.name
                if due(folder, self.embedders, self.indexes):
                    self.tell(f"{owner.id}/{folder.name}: its texts are embedded anew")
                    renew(folder, self.embedders)

    def _read(self, source: Source, compare: bool) -> list[ShardFile]:
        return read(
            source,
            self._work(source),
            self.tell,
            queries=self.queries,
            compare=compare,
            size=self.sizes.bytes,
            scheduler=self.scheduler,
        )

    def _inputs(self, owner: Owner, parts: Sequence[Source], compare: bool) -> dict[str, str]:
        """By source, a hash of all that its segment is made of."""
        stamps = [
            encoder.model_dump_json() for encoder in (self.embedders.first.stamp, self.embedders.exact) if encoder
        ]
        sizes = f"{WORDS} {self.sizes.flat_below}"
        rules = (
            f"{manifest.FORMAT} {RULES} {words.RULE} {sizes} {owner.licence} {' '.join(stamps)} {self.queries.digest}"
        )
        digests = {source.name: source.digest() for source in parts}
        of = {name: sorted(digests.values()) if compare else [] for name in digests}
        return {
            name: hashlib.sha256(f"{rules} {digest} {' '.join(of[name])}".encode()).hexdigest()
            for name, digest in digests.items()
        }

    def _unchanged(self, owner: Owner, source: Source, inputs: str) -> bool:
        present = _present(self._folder(source))
        if present is None or present.inputs != inputs or not {*self.indexes} <= {*present.indexes}:
            return False
        if Passages(self._folder(source)).of(self._deleted(owner)).any():
            return False
        if present.public != owner.public:
            with changing(self.target):
                _make_public(self._folder(source), owner)
        if (self._work(source) / _FINISHED).exists():  # a build was killed when it had just published it
            with changing(self.target):
                gone = retire(self._work(source), self.target)
            discard(gone)
        self.report.unchanged.append(source.name)
        self.tell(f"{source.name}: {present.passages} passages, unchanged")
        return True

    def _segment(self, owner: Owner, source: Source, joined: Joined, inputs: str) -> None:
        """Build one segment from its documents, and publish it."""
        folder, work, account = self._folder(source), self._work(source), joined.account
        self._leave_out(account.broken)
        self.report.accounts[source.name] = account
        self.tell(f"{source.name}: {account}")
        if not joined.documents:
            if folder.exists():
                with changing(self.target):
                    gone = retire(folder, self.target)
                discard(gone)
            self.tell(f"{source.name}: no documents, so no segment")
            return
        finished = work / _FINISHED
        shutil.rmtree(finished, ignore_errors=True)
        finished.mkdir()
        texts = write_texts(finished, joined.documents)
        self.embedders.write(
            finished,
            texts,
            [folder] if _present(folder) else [],
            work,
            # no inverted file of vectors that LEANN's codes are made of and nothing else
            flat_below=self.sizes.flat_below if COMPACTDS in self.indexes else len(texts) + 1,
            progress=partial(self._counter, source.name, len(texts)),
        )
        Manifest(
            format=manifest.FORMAT,
            id=source.origin.source,
            owner=owner.id,
            public=owner.public,
            licence=owner.licence,
            read=account.read,
            broken=len(account.broken),
            dropped=dict(sorted(account.dropped.items())),
            cut=dict(sorted(account.cut.items())),
            queries=self.queries.digest,
            documents=account.kept,
            passages=len(texts),
            encoder=self.embedders.first.stamp,
            exact=self.embedders.exact,
            inputs=inputs,
            files=manifest.stamp(finished),
        ).write(finished)
        settle(finished)
        with changing(self.target):
            if self._dropped(owner):
                raise _Dropped
            publish(finished, folder)
            gone = retire(work, self.target)
        discard(gone)
        self.report.built.append(source.name)
        self.tell(f"{source.name}: {len(texts)} passages of {account.kept} documents, built")

    def drop_vectors(self, owners: Sequence[Owner]) -> None:
        """Of all segments of these owners, the vectors are only for coding."""
        whole = [folder for owner in owners for folder in folders(self.target / owner.id) if _present(folder)]
        with changing(self.target):
            for folder in whole:
                if folder.exists() and drop_vectors(folder):
                    self.tell(f"{folder.parent.name}/{folder.name}: vectors removed, its codes stay")

    def _counter(self, name: str, total: int, stage: str) -> Callable[[int], None]:
        """Tells each further tenth of the passages."""
        told = 0

        def count(done: int) -> None:
            nonlocal told
            if done * 10 // total > told:
                told = done * 10 // total
                self.tell(f"{name}: {done} of {total} passages {stage}")

        return count

    def _deleted(self, owner: Owner) -> Digests:
        """Of the documents that were deleted through the API: they do not come back with a build."""
        with unchanging(self.target):  # two files, of which one says what is in the other
            return deletions.read(self.target).tombstones(self.target, owner.id).documents

    def _folder(self, source: Source) -> Path:
        return self.target / source.origin.owner / source.origin.source

    def _work(self, source: Source) -> Path:
        return self._folder(source).with_name(f"{UNFINISHED}{source.origin.source}")


def _only_added(target: Path) -> bool:
    """Whether a datastore is nothing but what was added through the API."""
    segments = [
        folder for owner in folders(target) for folder in folders(owner) if not folder.name.startswith(UNFINISHED)
    ]
    return bool(segments) and all(Span.parse(folder.name) for folder in segments)


def _added(place: Path) -> bool:
    """Whether a folder is of an addition that is there, or of the work on one."""
    name = place.name.removeprefix(UNFINISHED)
    return Span.parse(name) is not None and place.with_name(name).is_dir()


def _present(folder: Path) -> Manifest | None:
    """The manifest of a segment that is there and whole."""
    try:
        return manifest.load(folder)
    except BadSegment:
        return None


def _make_public(folder: Path, owner: Owner) -> None:
    """Have a segment be as public as its owner."""
    present = manifest.parse(folder)
    if present.public != owner.public:
        present.model_copy(update={"public": owner.public}).write(folder)
