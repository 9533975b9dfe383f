"""The stage over one shard: reading it, and all rules that look at one document alone."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore.documents import Broken, Document
from services.retrieval.datastore.ingest import duplicates, quality
from services.retrieval.datastore.ingest.decontaminate import Queries
from services.retrieval.datastore.ingest.grams import Grams, grams, words
from services.retrieval.datastore.ingest.minhash import bands
from services.retrieval.datastore.ingest.readers import READERS
from services.retrieval.datastore.ingest.readers.base import File
from services.retrieval.datastore.ingest.shards import Shard

RULES = 1
"""The number of this version of reading and of the rules: another one reads all sources again."""

PARAGRAPHS = "paragraphs that are evaluation queries"
EMPTIED = "nothing but evaluation queries"


@dataclass(frozen=True)
class Task:
    """A shard and what is to be done to it. `compare`: whether what finds duplicates is to be computed."""

    shard: Shard
    queries: Queries
    compare: bool


@dataclass(frozen=True)
class Fingerprint:
    """What finds duplicates of a document: see `duplicates`."""

    digest: bytes
    bands: NDArray[np.uint64]
    grams: Grams


@dataclass(frozen=True)
class Entry:
    """A document that the rules leave in, whence it is, and whether it may be left out as a duplicate."""

    document: Document
    file: str
    place: str
    removable: bool
    fingerprint: Fingerprint | None


@dataclass(frozen=True)
class Prepared:
    """What became of a shard. `dropped` counts documents by the rule that left them out; `cut` what was taken out of
    documents that stay."""

    entries: list[Entry] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)


def prepare(task: Task) -> Prepared:
    """Read a shard and apply the rules, in the order: decontamination, quality."""
    prepared = Prepared()
    source = task.shard.source
    for file, place, found in _read(task.shard):
        if isinstance(found, str):
            prepared.broken.append(Broken(file.name, place, found))
            continue
        text, taken = task.queries.take_out(found.text)
        if taken:
            if not text.strip():
                prepared.dropped[EMPTIED] += 1
                continue
            prepared.cut[PARAGRAPHS] += taken
        if source.web(file) and (fault := quality.fault(text)):
            prepared.dropped[fault] += 1
            continue
        document = replace(found, text=text)
        fingerprint = fingerprint_of(text) if task.compare else None
        prepared.entries.append(Entry(document, file.name, place, source.deduplicated(file), fingerprint))
    return prepared


def fingerprint_of(text: str) -> Fingerprint:
    """Of a text whose white space, case and compatibility forms are made one; for 5-grams also without punctuation."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    found = grams(words(text), duplicates.N)
    return Fingerprint(hashlib.blake2b(plain.encode(), digest_size=16).digest(), bands(found), found)


def _read(shard: Shard) -> Iterator[tuple[File, str, Document | str]]:
    for file, part in shard.parts:
        for place, found in READERS[file.path.suffix.lower()].read(file, part, shard.source.origin):
            yield file, place, found
