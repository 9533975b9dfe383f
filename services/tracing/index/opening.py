"""Opening all that can be searched: the corpora of a folder, as they are at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from services.tracing.index import log
from services.tracing.index.corpus import FILE, Corpus, CorpusManifest, parse_manifest, read_manifest
from services.tracing.index.foreign import MANIFEST, is_foreign, open_foreign
from services.tracing.index.log import BadCorpus, Log
from services.tracing.index.segment import Segment
from services.tracing.index.stored import BadSegment, open_segment
from services.tracing.tokenizer import Tokenizer


@dataclass(frozen=True)
class Opened:
    """A corpus as it was on disk when its manifest was `content`.

    `segments` by name, without what was deleted; `damaged` are those left out, with the reason.
    """

    content: bytes
    manifest: CorpusManifest
    segments: Mapping[str, Segment]
    damaged: Mapping[str, str] = field(default_factory=dict)
    log: Log = field(default_factory=Log)

    @property
    def corpus(self) -> Corpus:
        """What of it can be searched."""
        return Corpus(self.manifest, [segment for segment in self.segments.values() if segment.documents])

    @property
    def gone(self) -> bool:
        """Whether nothing is to be known of it: all was deleted, and nothing added since."""
        return self.manifest.dropped and not self.manifest.added

    @property
    def warnings(self) -> list[str]:
        """On what is left out."""
        return [f"corpus {self.manifest.id}: {fault}; left out" for fault in self.damaged.values()]


def open_corpus(folder: Path, tokenizer: Tokenizer, before: Opened | None = None) -> Opened:
    """The corpus in a folder as it is now. Of what is open in `before` nothing is read or searched again.

    A segment that is damaged is left out alone, and stays so: what it hides in others is known from the log. Raises
    BadCorpus if it is not known what was deleted, and BadSegment for an index of infini-gram's that is not whole.
    """
    content = signature(folder)
    if is_foreign(folder):
        corpus = open_foreign(folder, tokenizer)
        return Opened(content, corpus.manifest, {segment.name: segment for segment in corpus.segments})
    while True:
        read_manifest(folder)  # says so if what was deleted is not known
        opened = _open(folder, content, tokenizer, before)
        latest = signature(folder)
        if latest == content:
            return opened
        content = latest  # a segment that could not be opened may have been merged meanwhile


def signature(folder: Path) -> bytes:
    """What differs between any two states of a corpus: its manifest, since each counts its changes."""
    try:
        return (folder / (MANIFEST if is_foreign(folder) else FILE)).read_bytes()
    except OSError:
        return b""


def open_corpora(root: Path, tokenizer: Tokenizer) -> tuple[list[Corpus], list[str]]:
    """Every corpus under a folder, by id, and a warning for each part that had to be left out."""
    corpora, warnings = [], []
    for folder in folders(root):
        try:
            opened = open_corpus(folder, tokenizer)
        except (BadCorpus, BadSegment) as error:
            warnings.append(f"corpus {folder.name}: {error}; left out")
            continue
        warnings += opened.warnings
        if opened.segments or not opened.damaged:  # an owner whose texts are of no kind that is traced
            corpora.append(opened.corpus)
    return corpora, warnings


def folders(root: Path) -> list[Path]:
    """The folders of corpora, by name."""
    return sorted(path for path in root.glob("*") if path.is_dir() and not path.name.startswith("."))


def _open(folder: Path, content: bytes, tokenizer: Tokenizer, before: Opened | None) -> Opened:
    manifest = parse_manifest(folder, content)
    changes = log.read(folder, manifest.log, before.log if before else None)
    segments: dict[str, Segment] = {}
    damaged: dict[str, str] = {}
    # entries that are the same as before were hidden then
    known = before.log.entries.size if before and changes.begins_with(before.log) else None
    for name, number in manifest.numbers.items():
        if before and name in before.damaged:
            damaged[name] = before.damaged[name]
            continue
        since = 0
        if before and known is not None and name in before.segments:
            segment, since = before.segments[name], known
        else:
            try:
                segment = open_segment(folder / name, manifest.owner, tokenizer)
            except BadSegment as error:
                damaged[name] = str(error)
                continue
        hidden = segment.records.having(changes.hidden(number, manifest.floor, since))
        segments[name] = segment.hiding(np.array(hidden, dtype=np.int64))
    return Opened(content, manifest, segments, damaged, changes)
