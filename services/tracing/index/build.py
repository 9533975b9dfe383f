"""Building corpora from texts: `texts/OWNER/*.jsonl` in, `tracing/CORPUS/` out."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from services.tracing.index.corpus import CorpusManifest, publish, read_manifest
from services.tracing.index.foreign import is_foreign
from services.tracing.index.records import Record
from services.tracing.index.segment import Segment
from services.tracing.index.stored import FORMAT, BadSegment, Manifest, open_segment, write_segment
from services.tracing.index.texts import Document, digest, read_documents
from services.tracing.settings import tokenizer_in
from services.tracing.tokenizer import Ids, Tokenizer
from shared.owners import Owner

BATCH = 512
"""Documents tokenised at once."""
SEGMENT_TOKENS = 1 << 26
"""Tokens after which a segment is closed: sorting one takes about 1 GB at this size."""

Progress = Callable[[str], None]
"""Is told in a line what has just been done."""


@dataclass(frozen=True)
class Built:
    """What a build made, or found made already (`fresh` is False)."""

    corpus: str
    documents: int
    tokens: int
    skipped: int
    fresh: bool


def build_all(home: Path, owners: Sequence[Owner], progress: Progress) -> list[Built]:
    """Build the corpus of every owner who has texts, with the language model's tokenizer; corpus id = owner id.

    Files of other kinds than .jsonl are not read: an owner who has no others, or no more, gets an empty corpus. What
    is built, whole and of unchanged input is left as it is. Raises FileNotFoundError without the tokenizer.
    """
    tokenizer = Tokenizer(tokenizer_in(home))
    built = []
    for owner in owners:
        there = sorted(path for path in (home / "texts" / owner.id).glob("*") if not path.name.startswith("."))
        files = [path for path in there if path.suffix == ".jsonl" and path.is_file()]
        folder = home / "tracing" / owner.id
        if is_foreign(folder):
            progress(f"{owner.id}: {folder.name} is an index of infini-gram's; the owner's texts are not traced")
            continue
        if unread := [path.name for path in there if path not in files]:
            progress(f"{owner.id}: not traced, since only .jsonl is: {', '.join(unread)}")
        if there or folder.exists():
            built.append(build_corpus(folder, owner, files, tokenizer, progress))
        else:
            progress(f"{owner.id}: no texts")
    return built


def build_corpus(
    folder: Path,
    owner: Owner,
    files: Sequence[Path],
    tokenizer: Tokenizer,
    progress: Progress,
    *,
    segment_tokens: int = SEGMENT_TOKENS,
) -> Built:
    """Build the corpus `folder` of one owner from text files, a segment for every `segment_tokens` tokens or so.

    The corpus is in force once all of it is written, and the one before it until then. What cannot be read, is empty
    or not valid Unicode is skipped and counted.
    """
    fingerprint = _fingerprint(owner, files, tokenizer)
    present = read_manifest(folder)
    if present is not None and present.input == fingerprint:
        whole = _segments(folder, present, tokenizer)
        if whole is not None:
            progress(f"{folder.name}: unchanged")
            return _built(present, whole, fresh=False)
    segments: dict[str, Manifest] = {}
    skipped = 0
    for portion in _portions(read_documents(owner, files, progress), tokenizer, segment_tokens):
        skipped += portion.skipped
        if not portion.ids:
            continue
        name = f"segment-{secrets.token_hex(6)}"
        segments[name] = write_segment(folder / name, owner.id, tokenizer, portion.ids, portion.records)
        progress(f"{folder.name}: {segments[name].documents:,} documents, {segments[name].tokens:,} tokens indexed")
    corpus = CorpusManifest(
        id=folder.name,
        owner=owner.id,
        public=owner.public,
        licence=owner.licence,
        tokenizer=tokenizer.fingerprint,
        input=fingerprint,
        skipped=skipped,
        segments=list(segments),
    )
    publish(folder, corpus)
    return _built(corpus, segments.values(), fresh=True)


@dataclass
class _Portion:
    """The documents of one segment to be."""

    ids: list[Ids] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    tokens: int = 0
    skipped: int = 0


def _portions(documents: Iterable[Document | None], tokenizer: Tokenizer, limit: int) -> Iterator[_Portion]:
    """Documents tokenised and cut into segments; only the last can be without any."""
    stream, portion = iter(documents), _Portion()
    while batch := list(islice(stream, BATCH)):
        usable = [document for document in batch if document is not None]
        portion.skipped += len(batch) - len(usable)
        texts = [document.text for document in usable]
        for document, ids in zip(usable, tokenizer.encode_many(texts), strict=True):
            if portion.tokens + ids.size > limit and portion.ids:
                yield portion
                portion = _Portion()
            portion.ids.append(ids)
            portion.records.append(document.record)
            portion.tokens += ids.size + 1
    yield portion


def _fingerprint(owner: Owner, files: Sequence[Path], tokenizer: Tokenizer) -> str:
    """Of all that an index depends on: when this is the same, so is the index."""
    parts = (FORMAT, tokenizer.fingerprint, owner.id, str(owner.public), owner.licence, digest(files))
    return hashlib.sha256("\n".join(parts).encode("utf-8")).hexdigest()


def _segments(folder: Path, corpus: CorpusManifest, tokenizer: Tokenizer) -> list[Segment] | None:
    """A corpus's segments; None when one of them is not whole, so that a build mends it."""
    try:
        return [open_segment(folder / name, corpus.owner, tokenizer) for name in corpus.segments]
    except BadSegment:
        return None


def _built(corpus: CorpusManifest, segments: Iterable[Manifest | Segment], *, fresh: bool) -> Built:
    counts = [(segment.documents, segment.tokens) for segment in segments]
    documents, tokens = sum(count[0] for count in counts), sum(count[1] for count in counts)
    return Built(corpus.id, documents, tokens, corpus.skipped, fresh)
