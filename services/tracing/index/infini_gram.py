"""infini-gram's own index files (v4), served as they are.

A folder has for every shard N:

    tokenized.N  u8, u16 or u32 little-endian: a separator (all bits set) and then the tokens, of every document
    table.N      suffix array: places in tokenized.N in bytes, in as few whole bytes as the size of that file needs,
                 ordered as the bytes of the file are, from the lowest of each token on
    offset.N     u64: where in tokenized.N each document's separator stands, in bytes
    metadata.N   a line of JSON a document, and metaoff.N, u64: where each begins; neither need be there

Source: infini-gram 2.6.0 (Liu et al. 2024), whose indexer was run to see what it writes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.tracing.index.files import map_file
from services.tracing.index.records import Hashes, Key, Record, hashes
from services.tracing.index.segment import Segment
from services.tracing.index.stored import BadSegment
from services.tracing.search.arrays import Index
from services.tracing.search.kernels import first_ranks, positions
from services.tracing.search.packing import packed_bytes
from services.tracing.tokenizer import Ids, Tokenizer

PROBES = 1000
"""Neighbours in the table whose order is looked at."""
TITLES, URLS, LICENCES = ("title", "name"), ("url", "uri", "link"), ("licence", "license")

Said = dict[str, str | int | float | bool]


def shards(folder: Path) -> list[int]:
    """The numbers of the shards in a folder, ascending."""
    return sorted(int(path.suffix[1:]) for path in folder.glob("table.*") if path.suffix[1:].isdecimal())


def open_shard(folder: Path, shard: int, owner: str, licence: str, tokenizer: Tokenizer) -> Segment:
    """Open one shard, tokenised with this tokenizer. Raises BadSegment.

    The files have no checksums. What is checked are sizes, the beginnings of documents, the order of some neighbours
    in the table, and that every token is one of the tokenizer's.
    """
    name = f"{folder.name}.{shard}"
    try:
        tokens: Ids = map_file(folder / f"tokenized.{shard}", tokenizer.dtype.type)
        table = map_file(folder / f"table.{shard}", np.uint8)
        starts = map_file(folder / f"offset.{shard}", np.uint64) // np.uint64(tokenizer.dtype.itemsize)
        records = _Lines(folder, shard, starts.size, Record("", "", owner, licence, None, ""))
    except (OSError, ValueError) as error:
        raise BadSegment(f"shard {name} cannot be read: {error}") from error
    bits = (int(np.ceil(np.log2(tokens.nbytes))) + 7) // 8 * 8
    suffixes = packed_bytes(table, bits, tokens.itemsize.bit_length() - 1)
    if int(suffixes.size) != tokens.size:
        raise BadSegment(f"shard {name}: table.{shard} has {suffixes.size:,} places for {tokens.size:,} tokens")
    if not starts.size or int(starts.max()) >= tokens.size or (tokens[starts] != tokenizer.separator).any():
        raise BadSegment(f"shard {name}: offset.{shard} does not say where documents begin")
    empty = _read_only(np.zeros(0, dtype=np.uint64))
    index = Index(tokens, np.int64(tokenizer.separator), suffixes, empty, empty, swapped=False, dead=empty)
    index = index._replace(swapped=_is_swapped(index, name))
    vocabulary = np.arange(tokenizer.size).astype(tokenizer.dtype)
    firsts, pasts = first_ranks(index, vocabulary, False), first_ranks(index, vocabulary, True)
    if int((pasts - firsts).sum()) != tokens.size - starts.size:
        detail = f"has tokens that {tokenizer.name} does not have: name the tokenizer it was made with"
        raise BadSegment(f"shard {name} {detail}")
    wide = [_read_only(ranks.astype(np.uint64)) for ranks in (firsts, pasts)]
    # the files do not say in how many documents a term stands: in as many as it stands times, at most
    times = np.bincount(tokenizer.terms, weights=(pasts - firsts).astype(np.float64), minlength=tokenizer.term_count)
    return Segment(
        name=name,
        owner=owner,
        tokenizer=tokenizer,
        index=index._replace(firsts=wide[0], pasts=wide[1]),
        edges=np.append(starts, np.uint64(tokens.size)),
        records=records,
        term_documents=np.minimum(times, starts.size).astype(np.uint32),
        folder=folder,
        bytes=sum(path.stat().st_size for path in folder.glob(f"*.{shard}")),
        lead=1,
    )


class _Lines:
    """What infini-gram keeps of a document: its line in the files that were indexed, without the text.

    A document's id is the one in that line, or else the file and the number of the line: `train.jsonl:17`.
    """

    def __init__(self, folder: Path, shard: int, documents: int, unknown: Record) -> None:
        self._shard, self._documents, self._unknown = shard, documents, unknown
        self._lines = self._offsets = None
        if (folder / f"metadata.{shard}").exists():
            self._lines = map_file(folder / f"metadata.{shard}", np.uint8)
            self._offsets = np.append(map_file(folder / f"metaoff.{shard}", np.uint64), np.uint64(self._lines.size))
            if self._offsets.size != documents + 1:
                raise ValueError(f"metaoff.{shard} is of {self._offsets.size - 1:,} documents, not of {documents:,}")

    def record(self, document: int) -> Record:
        """What is known of a document."""
        unknown = self._unknown
        if self._lines is None or self._offsets is None:
            return Record(f"{self._shard}:{document}", "", unknown.source, unknown.licence, None, "")
        start, end = int(self._offsets[document]), int(self._offsets[document + 1])
        line = json.loads(self._lines[start:end].tobytes())
        metadata = line.get("metadata") or {}
        said: Said = {key: value for key, value in metadata.items() if isinstance(value, str | int | float | bool)}
        return Record(
            id=str(said.pop("id", f"{line.get('path')}:{line.get('linenum')}")),
            title=_first(said, TITLES, ""),
            source=_first(said, ("source",), str(line.get("path", unknown.source))),
            licence=_first(said, LICENCES, unknown.licence),
            url=_first(said, URLS, "") or None,
            sha256="",
            metadata=said,
        )

    def candidates(self, key: Key, hashed: Hashes) -> Sequence[int]:
        """By other keys than the id all documents: the files have no index of them, so that every line is read."""
        return self.having(hashed) if key == "id" else range(self._documents)

    def having(self, ids: Hashes) -> Sequence[int]:
        """The documents whose ids have one of these hashes; at the first call every line is read."""
        return [int(document) for document in np.flatnonzero(np.isin(self._hashed, ids))]

    @cached_property
    def _hashed(self) -> Hashes:
        """The hashes of all ids, 8 bytes each."""
        return hashes("id", [self.record(document).id for document in range(self._documents)])


def _first(said: Said, names: Sequence[str], default: str) -> str:
    found = [str(said.pop(name)) for name in names if name in said]
    return found[0] if found else default


def _is_swapped(index: Index, name: str) -> bool:
    """Whether the table is in the order of tokens' bytes and not of their numbers."""
    size = int(index.suffixes.size)
    ranks = np.unique(np.linspace(0, max(0, size - 2), min(PROBES, size), dtype=np.int64))
    left = index.tokens[positions(index, ranks)]
    right = index.tokens[positions(index, np.minimum(ranks + 1, size - 1))]
    if (left.byteswap() <= right.byteswap()).all():
        return True
    if not (left <= right).all():
        raise BadSegment(f"shard {name}: its table is not in order")
    return False


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
