"""Several segments as one, without what they hide, and without holding them in memory.

Leaving documents out does not change the order of the suffixes that stay: no comparison goes past a separator. So the
sorted suffixes of each segment are read in chunks, renumbered and merged, and written in chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from services.tracing.index.files import described, write_file
from services.tracing.index.records import StoredRecords, joined
from services.tracing.index.segment import Segment
from services.tracing.index.stored import Manifest, finish
from services.tracing.search.arrays import Numbers
from services.tracing.search.kernels import pack_into, positions
from services.tracing.search.merging import insert, merge, nothing_known
from services.tracing.search.packing import width_for
from services.tracing.tokenizer import Ids, Tokenizer

AHEAD = 1 << 22
"""Suffixes that are in memory at a time, of all segments together: 8 bytes each."""


def write_merged(
    folder: Path, owner: str, tokenizer: Tokenizer, segments: Sequence[Segment], *, ahead: int = AHEAD
) -> Manifest:
    """Write the documents of segments of one owner and tokenizer as a new segment; at least one is not hidden.

    The same bytes as `write_segment` of these documents. `folder` must not exist yet. Takes memory for the records of
    all documents as they are stored, and for `ahead` suffixes.
    """
    folder.mkdir(parents=True)
    lengths = np.concatenate([segment.document_lengths() for segment in segments])
    edges = np.concatenate(([0], np.cumsum(lengths + 1)))
    _write_tokens(folder / "tokens.bin", tokenizer, segments)
    tokens: Ids = np.asarray(np.memmap(folder / "tokens.bin", dtype=tokenizer.dtype, mode="r"))
    count, width = int(lengths.sum()), width_for(tokens.size)
    words = np.memmap(folder / "suffixes.bin", dtype=np.uint64, mode="w+", shape=((count * width + 63) // 64,))
    written = 0
    for part in _merged(tokens, segments, max(1, ahead // len(segments))):
        pack_into(words, written, part.astype(np.uint32), width)
        written += part.size
    words.flush()
    del words
    vocabulary = np.arange(tokenizer.size).astype(tokenizer.dtype)
    counts = sum((segment.occurrences(vocabulary) for segment in segments), np.zeros(tokenizer.size, dtype=np.int64))
    terms = sum((segment.term_documents for segment in segments), np.zeros(tokenizer.term_count, dtype=np.uint32))
    arrays = {
        "buckets": np.concatenate(([0], np.cumsum(counts))).astype(np.uint32),
        "documents": edges.astype(np.uint32),
        "term_documents": np.asarray(terms, dtype=np.uint32),
        **joined([(_records(segment), segment.alive()) for segment in segments]),
    }
    files = {name: write_file(folder / f"{name}.bin", array) for name, array in arrays.items()}
    files |= {name: described(folder / f"{name}.bin") for name in ("tokens", "suffixes")}
    return finish(folder, owner, tokenizer, lengths.size, count, files)


def _records(segment: Segment) -> StoredRecords:
    if not isinstance(segment.records, StoredRecords):
        raise TypeError(f"segment {segment.name} was not written by Candor, and cannot be merged")
    return segment.records


def _write_tokens(path: Path, tokenizer: Tokenizer, segments: Sequence[Segment]) -> None:
    separator = np.array([tokenizer.separator], dtype=tokenizer.dtype)
    with path.open("wb") as stream:
        for segment in segments:
            if not segment.hidden.size:
                segment.index.tokens.tofile(stream)
                continue
            for document in segment.alive().tolist():
                first, last = segment.bounds(document)
                segment.index.tokens[first:last].tofile(stream)
                separator.tofile(stream)


def _merged(tokens: Ids, segments: Sequence[Segment], chunk: int) -> Iterator[Numbers]:
    """The positions in `tokens` of all suffixes, in order, in parts of at most `chunk`."""
    streams = [_renumbered(segment, base, chunk) for segment, base in zip(segments, _bases(segments), strict=True)]
    ahead = np.zeros((len(streams), chunk), dtype=np.int64)
    filled, taken = np.zeros(len(streams), dtype=np.int64), np.zeros(len(streams), dtype=np.int64)
    order, known = np.zeros(0, dtype=np.int64), nothing_known()

    def refill(stream: int) -> bool:
        part = next((part for part in streams[stream] if part.size), None)
        if part is None:
            return False
        ahead[stream, : part.size] = part
        filled[stream], taken[stream] = part.size, 0
        return True

    for stream in range(len(streams)):
        if refill(stream):
            order = np.concatenate(([stream], order))
            insert(tokens, (ahead, taken), order, known)
    out = np.empty(chunk, dtype=np.int64)
    while order.size:
        written, dry = merge(tokens, (ahead, filled, taken), order, out, known)
        if written:
            yield out[:written]
        if dry >= 0:
            if refill(dry):
                insert(tokens, (ahead, taken), order, known)
            else:
                order = order[1:].copy()


def _bases(segments: Sequence[Segment]) -> list[int]:
    """Where the tokens of each segment begin among all."""
    sizes = [segment.tokens + segment.documents for segment in segments]
    return [sum(sizes[:number]) for number in range(len(segments))]


def _renumbered(segment: Segment, base: int, chunk: int) -> Iterator[Numbers]:
    """The positions of a segment's suffixes in order, as they are among all tokens, hidden ones left out."""
    index, size = segment.index, int(segment.index.suffixes.size)
    lengths = np.diff(segment.edges.astype(np.int64))
    lengths[segment.hidden] = 0
    moved = base + np.concatenate(([0], np.cumsum(lengths)[:-1])) - segment.edges[:-1].astype(np.int64)
    for first in range(0, size, chunk):
        ranks = np.arange(first, min(first + chunk, size))
        if index.dead.size:
            low, high = np.searchsorted(index.dead, (first, ranks[-1] + 1))
            ranks = np.delete(ranks, index.dead[low:high].astype(np.int64) - first)
        at = positions(index, ranks)
        yield at + (moved[segment.documents_at(at)] if index.dead.size else base)
