"""Building corpora from texts: `texts/OWNER/*.jsonl` in, `tracing/CORPUS/` out."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from services.tracing.approximate.index import BadWords
from services.tracing.approximate.parts import BYTES as WORDS_BYTES
from services.tracing.approximate.parts import PART, Part, PartIndexer, open_parts, parts, unfinished
from services.tracing.index import log
from services.tracing.index.blocks import Block, Indexer, blocks, is_finished
from services.tracing.index.corpus import BLOCKS, BUILDING, CorpusManifest, publish_built, read_manifest
from services.tracing.index.foreign import is_foreign
from services.tracing.index.log import BadCorpus
from services.tracing.index.merge import write_merged
from services.tracing.index.records import hashes
from services.tracing.index.segment import Segment
from services.tracing.index.stored import FORMAT, BadSegment, Manifest, open_segment
from services.tracing.index.stored import read_manifest as read_segment
from services.tracing.index.suffixes import MAX_TOKENS
from services.tracing.index.texts import Document, digest, read_documents
from services.tracing.settings import TracingSettings
from services.tracing.tokenizer import Tokenizer
from shared.builder import only_builder
from shared.durable import discard
from shared.owners import Owner
from shared.schedule import Advance, Here, Scheduler

MEMORY = 4 << 30
BYTES = 24
"""Memory that a block takes for each byte of its lines at most: up to 17 to sort a token, which may be a byte, and
the rest for its tokens and records."""
MOST_TOKENS = 1 << 31
"""Tokens of a segment, separators with them: positions fit into 4 bytes."""

Progress = Callable[[str], None]
"""Is told in a line what has just been done."""


@dataclass(frozen=True)
class How:
    """Who sorts the blocks of a corpus, how long their lines are together, and how large a segment may be.

    `part_tokens`: tokens of a part of its words, which are indexed for approximate matches.
    """

    scheduler: Scheduler = field(default_factory=Here)
    block_bytes: int = MEMORY // BYTES
    most_tokens: int = MOST_TOKENS
    part_tokens: int = PART


def within(memory: int, workers: int, scheduler: Scheduler) -> How:
    """By a scheduler that has so many tasks under way on a machine, which take so many bytes together."""
    share = memory // workers
    # a token is a byte at least, and a line longer than its text
    block, part = min(max(1, share // BYTES), MAX_TOKENS), min(max(1, share // WORDS_BYTES), PART)
    return How(scheduler, block, part_tokens=part)


@dataclass(frozen=True)
class Built:
    """What a build made, or found made already (`fresh` is False)."""

    corpus: str
    documents: int
    tokens: int
    skipped: int
    fresh: bool


def build_all(
    home: Path, owners: Sequence[Owner], progress: Progress, restore: Collection[str] = (), how: How | None = None
) -> list[Built]:
    """Build the corpus of every owner who has texts, where and with the tokenizer that the service's settings say;
    corpus id = owner id.

    Files of other kinds than .jsonl are not read: an owner who has no others, or no more, gets an empty corpus. What
    is built, whole and of unchanged input is left as it is. An owner whose corpus was deleted has none until the build
    is told to `restore` the owner. Raises FileNotFoundError without the tokenizer, TextsChanged and BuildRunning as
    `build_corpus`, and BadCorpus once all others are built if it is not known what was deleted from one.
    """
    settings, how = TracingSettings(), how or How()
    tokenizer = Tokenizer(settings.tokenizer_file(home))
    built, unknown = [], []
    for owner in owners:
        there = sorted(path for path in (home / "texts" / owner.id).glob("*") if not path.name.startswith("."))
        files = [path for path in there if path.suffix == ".jsonl" and path.is_file()]
        folder = settings.corpora_folder(home) / owner.id
        if is_foreign(folder):
            progress(f"{owner.id}: {folder.name} is an index of infini-gram's; the owner's texts are not traced")
            continue
        if unread := [path.name for path in there if path not in files]:
            progress(f"{owner.id}: not traced, since only .jsonl is: {', '.join(unread)}")
        if there or folder.exists():
            try:
                built.append(
                    build_corpus(folder, owner, files, tokenizer, progress, how=how, restore=owner.id in restore)
                )
                _index_words(folder, tokenizer, how, progress)
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
    how: How | None = None,
    restore: bool = False,
) -> Built:
    """Build the corpus `folder` of one owner from text files.

    The corpus is in force once all of it is written, and the one before it until then. What cannot be read, is empty
    or not valid Unicode is skipped and counted. Documents that were deleted, or that an added one stands over, are not
    written; they would be hidden. Raises BadCorpus if it is not known which, TextsChanged for a file that changes
    meanwhile, and BuildRunning while another process builds this corpus.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with only_builder(folder, BUILDING):
        try:
            return _build(folder, owner, files, tokenizer, progress, how or How(), restore)
        finally:
            if (manifest := read_manifest(folder)) is not None and manifest.dropped:
                discard(folder / BLOCKS)


def _build(  # noqa: PLR0917
    folder: Path,
    owner: Owner,
    files: Sequence[Path],
    tokenizer: Tokenizer,
    progress: Progress,
    how: How,
    restore: bool,
) -> Built:
    work = folder / BLOCKS
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
            discard(work)
            progress(f"{folder.name}: unchanged")
            return _built(present, whole, fresh=False)
    counted = _Counted(_kept(folder, present, read_documents(owner, files, progress)))
    plan = list(blocks(counted, work, owner, tokenizer, how.block_bytes))
    for stale in set(work.glob("*")) - {block.folder for block in plan}:
        discard(stale)
    _index(plan, tokenizer, how.scheduler, folder.name, progress)
    segments = _put_together(folder, owner, tokenizer, list(_groups(plan, tokenizer, how.most_tokens)), progress)
    corpus = CorpusManifest(
        id=folder.name,
        owner=owner.id,
        public=owner.public,
        licence=owner.licence,
        tokenizer=tokenizer.fingerprint,
        input=fingerprint,
        skipped=counted.skipped,
        segments=segments,
    )
    corpus = publish_built(folder, corpus, restoring=present.floor if present else None)
    discard(work)
    made = [read_segment(folder / name, owner.id, tokenizer) for name in corpus.segments]
    return _built(corpus, made, fresh=True)


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


class _Counted:
    """The documents that can be indexed, and how many could not."""

    def __init__(self, documents: Iterable[Document | None]) -> None:
        self._documents, self.skipped = documents, 0

    def __iter__(self) -> Iterator[Document]:
        for document in self._documents:
            if document is None:
                self.skipped += 1
            else:
                yield document


def _index(plan: Sequence[Block], tokenizer: Tokenizer, scheduler: Scheduler, corpus: str, progress: Progress) -> None:
    """Have all blocks written that are not yet."""
    todo = [block for block in plan if not is_finished(block, tokenizer)]
    if len(todo) < len(plan):
        progress(f"{corpus}: {len(plan) - len(todo)} of {len(plan)} blocks were finished before")
    documents = sum(len(block.places) for block in todo)
    scheduler.run(partial(Indexer, tokenizer), todo, _counting(documents, f"{corpus}: %s documents sorted", progress))


def _counting(total: int, line: str, progress: Progress) -> Advance:
    """Tells in `line`, in the place of %s, how many of a total are done."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(line % f"{done:,} of {total:,}")

    return advance


def _groups(plan: Sequence[Block], tokenizer: Tokenizer, most: int) -> Iterator[list[Block]]:
    """Blocks that become one segment: as many in a row as have at most so many tokens, or one."""
    group: list[Block] = []
    tokens = 0
    for block in plan:
        manifest = read_segment(block.folder, block.owner.id, tokenizer)
        size = manifest.tokens + manifest.documents
        if group and tokens + size > most:
            yield group
            group, tokens = [], 0
        group.append(block)
        tokens += size
    if group:
        yield group


def _put_together(
    folder: Path, owner: Owner, tokenizer: Tokenizer, groups: Sequence[Sequence[Block]], progress: Progress
) -> list[str]:
    """The names of the segments that hold what the blocks of each group hold; a block that is alone is moved, once all
    others are merged, so that a build that is killed finds it again."""
    names = [f"segment-{secrets.token_hex(6)}" for _ in groups]
    for name, group in zip(names, groups, strict=True):
        if len(group) > 1:
            progress(f"{folder.name}: merging {len(group)} blocks")
            parts = [open_segment(block.folder, owner.id, tokenizer) for block in group]
            write_merged(folder / name, owner.id, tokenizer, parts)
    for name, group in zip(names, groups, strict=True):
        if len(group) == 1:
            group[0].folder.rename(folder / name)
    return names


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


def _index_words(folder: Path, tokenizer: Tokenizer, how: How, progress: Progress) -> None:
    """Indexes of words for approximate matches: what is published answers without them until they are there."""
    present = read_manifest(folder)
    if present is None:
        return
    todo: list[Part] = []
    for name in present.segments:
        # looked at first, since opening a segment reads all of it
        if not _has_words(folder / name, read_segment(folder / name, present.owner, tokenizer).documents):
            segment = open_segment(folder / name, present.owner, tokenizer)
            todo += unfinished(parts(segment, how.part_tokens))
    documents = sum(part.last - part.first for part in todo)
    line = f"{folder.name}: words of %s documents indexed for approximate matches"
    how.scheduler.run(partial(PartIndexer, tokenizer), todo, _counting(documents, line, progress))


def _has_words(segment: Path, documents: int) -> bool:
    try:
        open_parts(segment, documents)
    except BadWords:
        return False
    return True


def _built(corpus: CorpusManifest, segments: Iterable[Manifest | Segment], *, fresh: bool) -> Built:
    counts = [(segment.documents, segment.tokens) for segment in segments]
    documents, tokens = sum(count[0] for count in counts), sum(count[1] for count in counts)
    return Built(corpus.id, documents, tokens, corpus.skipped, fresh)
