"""Building corpora from texts: `texts/OWNER/*.jsonl` in, `tracing/CORPUS/` out."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from services.tracing.approximate.opened import make_words
from services.tracing.index import log
from services.tracing.index.corpus import CorpusManifest, publish_built, read_manifest
from services.tracing.index.foreign import is_foreign
from services.tracing.index.log import BadCorpus
from services.tracing.index.records import Record, hashes
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


def build_all(home: Path, owners: Sequence[Owner], progress: Progress, restore: Collection[str] = ()) -> list[Built]:
    """Build the corpus of every owner who has texts, with the language model's tokenizer; corpus id = owner id.

    Files of other kinds than .jsonl are not read: an owner who has no others, or no more, gets an empty corpus. What
    is built, whole and of unchanged input is left as it is. An owner whose corpus was deleted has none until the build
    is told to `restore` the owner. Raises FileNotFoundError without the tokenizer, and BadCorpus once all others are
    built if it is not known what was deleted from one.
    """
    tokenizer = Tokenizer(tokenizer_in(home))
    built, unknown = [], []
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
            try:
                built.append(build_corpus(folder, owner, files, tokenizer, progress, restore=owner.id in restore))
                _make_words(folder, tokenizer, progress)
            except BadCorpus as error:
                unknown.append(f"corpus {folder.name}: {error}")
        else:
            progress(f"{owner.id}: no texts")
    if unknown:
        raise BadCorpus("; ".join(unknown))
    return built


def build_corpus(
    folder: Path,
    owner: Owner,
    files: Sequence[Path],
    tokenizer: Tokenizer,
    progress: Progress,
    *,
    segment_tokens: int = SEGMENT_TOKENS,
    restore: bool = False,
) -> Built:
    """Build the corpus `folder` of one owner from text files, a segment for every `segment_tokens` tokens or so.

    The corpus is in force once all of it is written, and the one before it until then. What cannot be read, is empty
    or not valid Unicode is skipped and counted. Documents that were deleted, or that an added one stands over, are not
    written; they would be hidden. Raises BadCorpus if it is not known which.
    """
    fingerprint = _fingerprint(owner, files, tokenizer)
    present = read_manifest(folder)
    if present is not None and present.dropped and not restore:
        progress(
            f"{folder.name}: deleted, and left out: `candor data build --restore {owner.id}` takes the texts in again"
        )
        return Built(folder.name, 0, 0, 0, fresh=False)
    if present is not None and present.input == fingerprint:
        whole = _segments(folder, present, tokenizer)
        if whole is not None:
            progress(f"{folder.name}: unchanged")
            return _built(present, whole, fresh=False)
    segments: dict[str, Manifest] = {}
    skipped = 0
    for portion in _portions(_kept(folder, present, read_documents(owner, files, progress)), tokenizer, segment_tokens):
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
    corpus = publish_built(folder, corpus, restoring=present.floor if present else None)
    return _built(corpus, [segments[name] for name in corpus.segments], fresh=True)


def _kept(
    folder: Path, present: CorpusManifest | None, documents: Iterable[Document | None]
) -> Iterator[Document | None]:
    """Those that the corpus, as it is before the build, does not hide. Raises BadCorpus."""
    hidden: set[int] = set()
    if present is not None:
        hidden.update(log.read(folder, present.log).hidden(0, present.floor).tolist())
    for document in documents:
        if document is None or int(hashes("id", [document.record.id])[0]) not in hidden:
            yield document


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


def _make_words(folder: Path, tokenizer: Tokenizer, progress: Progress) -> None:
    """Indexes of words for approximate matches: what is published answers without them until they are there."""
    present = read_manifest(folder)
    segments = _segments(folder, present, tokenizer) if present else None
    if made := sum(make_words(segment) for segment in segments or ()):
        progress(f"{folder.name}: words of {made} segments indexed for approximate matches")


def _built(corpus: CorpusManifest, segments: Iterable[Manifest | Segment], *, fresh: bool) -> Built:
    counts = [(segment.documents, segment.tokens) for segment in segments]
    documents, tokens = sum(count[0] for count in counts), sum(count[1] for count in counts)
    return Built(corpus.id, documents, tokens, corpus.skipped, fresh)
