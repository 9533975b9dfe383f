"""Building a datastore: from CANDOR_HOME/texts/OWNER/SOURCE.* to CANDOR_HOME/retrieval/DATASTORE/OWNER/SOURCE/."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from services.retrieval.compactds.ann import FLAT_BELOW
from services.retrieval.datastore import coding, manifest
from services.retrieval.datastore.chunks import WORDS
from services.retrieval.datastore.documents import SUFFIXES, BrokenLine, read
from services.retrieval.datastore.lock import only_builder
from services.retrieval.datastore.manifest import UNFINISHED, BadSegment, EncoderStamp, Manifest
from services.retrieval.datastore.segment import write_texts, write_vectors
from services.retrieval.encoders.base import Card, Encoder
from shared.owners import Owner

Tell = Callable[[str], None]


class NothingToBuild(Exception):
    """No owner has any text."""


@dataclass
class Report:
    """What a build did, by names of segments as OWNER/SOURCE."""

    built: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    broken: list[BrokenLine] = field(default_factory=list)


def build(
    home: Path,
    owners: Sequence[Owner],
    card: Card,
    load: Callable[[], Encoder],
    tell: Tell,
    *,
    datastore: str = "main",
    flat_below: int = FLAT_BELOW,
) -> Report:
    """Bring a datastore in line with the texts of these owners: build what is new or changed, remove what has no
    source any more, leave the rest; then LEANN's codebook and codes. Segments of owners not given are not touched, but
    for their codes when the codebook has changed.

    A segment appears whole or not at all, so that after a kill the next build goes on with the segment it was at.
    `load` loads the encoder of the card, and is called once something is to be embedded; `tell` is told each step in
    a line. Raises NothingToBuild without any text, and BuildRunning while another process builds this datastore.
    """
    if not any(_sources(home, owner) for owner in owners):
        raise NothingToBuild(f"There are no texts in {home / 'texts'}: run `candor data pull` first.")
    target = home / "retrieval" / datastore
    target.mkdir(parents=True, exist_ok=True)
    builder = _Builder(target, card, cache(load), tell, flat_below, Report())
    with only_builder(target):
        for owner in owners:
            sources = _sources(home, owner)
            builder.sweep(target / owner.id, keep={source.stem for source in sources})
            for source in sources:
                builder.segment(owner, source)
        coding.code(target, EncoderStamp.of(card), tell)
    return builder.report


def _sources(home: Path, owner: Owner) -> list[Path]:
    return sorted(path for path in (home / "texts" / owner.id).glob("*") if path.suffix in SUFFIXES)


@dataclass(frozen=True)
class _Builder:
    target: Path
    card: Card
    encoder: Callable[[], Encoder]
    tell: Tell
    flat_below: int
    report: Report

    def sweep(self, folder: Path, keep: set[str]) -> None:
        """Remove the segments of one owner that have no source any more, and what a killed build left."""
        for stale in sorted(folder.glob("*")):
            if stale.is_dir() and stale.name not in keep:
                shutil.rmtree(stale)
                if not stale.name.startswith(UNFINISHED):
                    self.report.removed.append(f"{folder.name}/{stale.name}")
                    self.tell(f"{folder.name}/{stale.name}: removed, its source is gone")

    def segment(self, owner: Owner, source: Path) -> None:
        """Build one source's segment if it is missing, damaged or made of something else."""
        folder = self.target / owner.id / source.stem
        name = f"{owner.id}/{source.stem}"
        stamp = EncoderStamp.of(self.card)
        inputs = _inputs(source, owner, stamp, self.flat_below)
        present = _present(folder)
        if present and present.inputs == inputs:
            if present.public != owner.public:
                present.model_copy(update={"public": owner.public}).write(folder)
            self.report.unchanged.append(name)
            self.tell(f"{name}: {present.passages} passages, unchanged")
            return
        documents, broken = read(source, owner.id, owner.licence)
        self.report.broken.extend(broken)
        for line in broken:
            self.tell(f"{line} (left out)")
        if not documents:
            shutil.rmtree(folder, ignore_errors=True)
            self.tell(f"{name}: no documents, so no segment")
            return
        work = folder.parent / f"{UNFINISHED}{source.stem}"
        work.mkdir(parents=True)
        texts = write_texts(work, documents)
        write_vectors(work, self.encoder().encode(texts, self._counter(name, len(texts))), self.flat_below)
        Manifest(
            format=manifest.FORMAT,
            id=source.stem,
            owner=owner.id,
            public=owner.public,
            licence=owner.licence,
            documents=len(documents),
            passages=len(texts),
            encoder=stamp,
            inputs=inputs,
            files=manifest.stamp(work),
        ).write(work)
        _publish(work, folder)
        self.report.built.append(name)
        self.tell(f"{name}: {len(texts)} passages of {len(documents)} documents, built")

    def _counter(self, name: str, total: int) -> Callable[[int], None]:
        """Tells each further tenth of the passages."""
        told = 0

        def count(done: int) -> None:
            nonlocal told
            if done * 10 // total > told:
                told = done * 10 // total
                self.tell(f"{name}: {done} of {total} passages embedded")

        return count


def _present(folder: Path) -> Manifest | None:
    """The manifest of a segment that is there and whole."""
    try:
        return manifest.load(folder)
    except BadSegment:
        return None


def _inputs(source: Path, owner: Owner, encoder: EncoderStamp, flat_below: int) -> str:
    """A hash of all that a segment is made of."""
    rules = f"{manifest.FORMAT} {WORDS} {flat_below} {owner.licence} {encoder.model_dump_json()}"
    with source.open("rb") as file:
        return hashlib.sha256(rules.encode() + hashlib.file_digest(file, "sha256").digest()).hexdigest()


def _publish(work: Path, folder: Path) -> None:
    """Put a finished segment in its place. A service that has the old one open keeps it until it restarts."""
    if folder.exists():
        retired = work.with_name(f"{UNFINISHED}{folder.name}-old")
        folder.rename(retired)
        work.rename(folder)
        shutil.rmtree(retired)
    else:
        work.rename(folder)
