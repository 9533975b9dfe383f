"""Adding and deleting documents while a corpus is searched, and merging what was added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from services.tracing.approximate.parts import parts
from services.tracing.approximate.writing import write_words
from services.tracing.index import log
from services.tracing.index.corpus import WRITTEN, Added, CorpusManifest, changing, clear, publish
from services.tracing.index.foreign import is_foreign
from services.tracing.index.merge import write_merged
from services.tracing.index.merging import groups
from services.tracing.index.opening import Opened
from services.tracing.index.records import Record
from services.tracing.index.segment import Segment
from services.tracing.index.stored import open_segment, write_segment
from services.tracing.tokenizer import Ids, Tokenizer
from shared.durable import settle, sync
from shared.workspace import sweep, workspace

Look = Callable[[str], Opened]
"""Gives a corpus as it is on disk now. Raises BadCorpus."""


class NotChangeable(ValueError):
    """The corpus takes no changes. The message says why."""


@dataclass(frozen=True)
class Replaced:
    """The ids of an addition that stood there before, and the tokens added."""

    ids: list[str]
    tokens: int


class Writer:
    """Changes the corpora of a folder. What a call has done is on disk when it returns, and in what `look` gives next.

    Several threads and processes can do so at once: segments are written beside the corpus, and its lock is held only
    to put them in force. A corpus of n additions has at most about 8 log8(n) segments, and each document is written
    about log8(n) times. All methods raise BadCorpus if it is not known what was deleted, and NotChangeable.
    """

    def __init__(self, root: Path, tokenizer: Tokenizer, look: Look) -> None:
        self._root, self._tokenizer, self._look = root, tokenizer, look

    def add(self, corpus: str, documents: Sequence[tuple[Record, Ids]]) -> Replaced:
        """Add documents, none of them empty and all of different ids, in the place of those of the same ids."""
        folder, ids = self._folder(corpus), [record.id for record, _ in documents]
        manifest = self._look(corpus).manifest
        if manifest.tokenizer != self._tokenizer.fingerprint:
            raise NotChangeable("it was built with another tokenizer: run `candor data build`")
        with workspace(folder) as work:
            made = work / "segment"
            tokens = self._write(made, manifest.owner, documents)
            with changing(folder):
                now = self._look(corpus)
                replaced = [identity for identity in ids if _holds(now, identity)]
                number = now.manifest.changes + 1
                added = Added(name=_place(made, folder), number=number)
                changes = log.append(folder, now.log, ids, number, deleted=False)
                update = {"changes": number, "log": changes.head, "added": [*now.manifest.added, added]}
                publish(folder, now.manifest.model_copy(update=update))
        return Replaced(replaced, tokens)

    def delete(self, corpus: str, identity: str) -> bool:
        """Delete a document, also out of what a build makes: whether there was one, or may be one in what is damaged.

        Its text leaves the disk with the next merge of its segment, or the next build that reads the owner's files.
        """
        folder = self._folder(corpus)
        with changing(folder):
            now = self._look(corpus)
            if not _holds(now, identity) and not now.damaged:
                return False
            number = now.manifest.changes + 1
            changes = log.append(folder, now.log, [identity], number, deleted=True)
            publish(folder, now.manifest.model_copy(update={"changes": number, "log": changes.head}))
            return True

    def drop(self, corpus: str) -> bool:
        """Delete all that a corpus holds, with its files, until a build is told to restore the owner: whether there was
        anything."""
        folder = self._folder(corpus)
        with changing(folder):
            now = self._look(corpus).manifest
            there = bool(now.numbers) or not now.dropped
            number = now.changes + 1
            log.create(folder)
            update = {"segments": [], "added": [], "input": "", "skipped": 0}
            update |= {"changes": number, "floor": number, "dropped": True}
            publish(folder, now.model_copy(update=update))
            clear(folder)
        return there

    def merge(self, corpus: str) -> None:
        """Put additions of like size together, and write segments of which much is hidden anew, without it."""
        folder = self._folder(corpus)
        while group := next(iter(groups(self._look(corpus))), None):
            if not self._put_together(corpus, folder, group):
                return

    def resume(self, corpus: str) -> None:
        """Remove what killed processes have left behind."""
        folder = self._folder(corpus)
        sweep(folder)
        with changing(folder):
            clear(folder)

    def _put_together(self, corpus: str, folder: Path, parts: Sequence[Segment]) -> bool:
        """Write segments as one, or none if all that they hold is hidden: whether they were still there."""
        names = {part.name for part in parts}
        held = [part for part in parts if part.documents]
        with workspace(folder) as work:
            made = work / "segment"
            if held:
                write_merged(made, parts[0].owner, self._tokenizer, held)
                self._finish(made, parts[0].owner)
            with changing(folder):
                now = self._look(corpus).manifest
                if not names <= now.numbers.keys():
                    return False
                publish(folder, _with_merged(now, names, _place(made, folder) if held else None))
        return True

    def _write(self, made: Path, owner: str, documents: Sequence[tuple[Record, Ids]]) -> int:
        """Write a segment with its index of words, to disk; its tokens."""
        texts, records = [ids for _, ids in documents], [record for record, _ in documents]
        tokens = write_segment(made, owner, self._tokenizer, texts, records).tokens
        self._finish(made, owner)
        return tokens

    def _finish(self, made: Path, owner: str) -> None:
        """The index of words of a segment that is written, and all of it to disk."""
        segment = open_segment(made, owner, self._tokenizer)
        for part in parts(segment):
            write_words(part.folder, segment, part.first, part.last)
        settle(made)

    def _folder(self, corpus: str) -> Path:
        self._look(corpus)  # first: what is no corpus may be no name of a folder either
        folder = self._root / corpus
        if is_foreign(folder):
            raise NotChangeable("it is an index of infini-gram's, which is served as it is")
        return folder


def _holds(now: Opened, identity: str) -> bool:
    return any(segment.find("id", identity) for segment in now.segments.values())


def _place(made: Path, folder: Path) -> str:
    """Move a segment that is written to where a manifest can name it; its name."""
    name = f"{WRITTEN}{uuid4().hex[:12]}"
    made.rename(folder / name)
    sync(folder)
    return name


def _with_merged(now: CorpusManifest, names: set[str], merged: str | None) -> CorpusManifest:
    """A manifest with one segment, or none, in the place of others. They are all built of files, or all added.

    The last of their changes is the new one's: what was deleted or replaced up to then is not in it, and what was since
    has a higher number.
    """
    segments = [name for name in now.segments if name not in names]
    added = [segment for segment in now.added if segment.name not in names]
    number = max(now.numbers[name] for name in names)
    if merged and number:
        added = sorted([*added, Added(name=merged, number=number)], key=lambda segment: segment.number)
    elif merged:
        segments.append(merged)
    return now.model_copy(update={"changes": now.changes + 1, "segments": segments, "added": added})
