"""Blocks: the documents of a corpus in parts that fit into memory, each sorted by whoever does the work.

A block is a segment in a folder whose name says what is in it, so that a build that was killed does not do again what
it had finished.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from services.tracing.index.records import Record
from services.tracing.index.stored import FORMAT, BadSegment, open_segment, write_segment
from services.tracing.index.texts import Document, Place, read_at
from services.tracing.tokenizer import Ids, Tokenizer
from shared.durable import discard
from shared.owners import Owner
from shared.schedule import Advance

BATCH = 512
"""Documents tokenised at once."""


class TextsChanged(Exception):
    """A file is not any more what it was when the blocks were planned."""


@dataclass(frozen=True)
class Block:
    """Some documents of an owner, by where they stand in the owner's files, and the folder they go to."""

    folder: Path
    owner: Owner
    places: tuple[Place, ...]


def blocks(
    documents: Iterable[Document], folder: Path, owner: Owner, tokenizer: Tokenizer, size: int
) -> Iterator[Block]:
    """The documents in order, cut where a block would have lines of more than `size` bytes; none is empty."""
    places: list[Place] = []
    name, held = _name(owner, tokenizer), 0
    for document in documents:
        if places and held + document.place.bytes > size:
            yield Block(folder / name.hexdigest(), owner, tuple(places))
            places, held, name = [], 0, _name(owner, tokenizer)
        places.append(document.place)
        held += document.place.bytes
        _include(name, document.record)
    if places:
        yield Block(folder / name.hexdigest(), owner, tuple(places))


def is_finished(block: Block, tokenizer: Tokenizer) -> bool:
    """Whether a block was written to its end and is whole."""
    try:
        open_segment(block.folder, block.owner.id, tokenizer)
    except BadSegment:
        return False
    return True


class Indexer:
    """Writes blocks; `advance` is told how many documents."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __call__(self, block: Block, advance: Advance) -> None:
        """Tokenise, sort and write one. Raises TextsChanged."""
        ids: list[Ids] = []
        records: list[Record] = []
        name, documents = _name(block.owner, self._tokenizer), _unchanged(block)
        while batch := list(islice(documents, BATCH)):
            ids += self._tokenizer.encode_many([document.text for document in batch])
            records += [document.record for document in batch]
        for record in records:
            _include(name, record)
        if name.hexdigest() != block.folder.name:
            raise _changed(block)
        discard(block.folder)  # what a killed build left unfinished
        write_segment(block.folder, block.owner.id, self._tokenizer, ids, records)
        advance(len(records))


def _unchanged(block: Block) -> Iterator[Document]:
    try:
        yield from read_at(block.owner, block.places)
    except (ValueError, RecursionError) as error:
        raise _changed(block) from error


def _changed(block: Block) -> TextsChanged:
    files = ", ".join(sorted({place.path.name for place in block.places}))
    return TextsChanged(f"{files} changed while {block.owner.id}'s texts were read: build again.")


def _include(name: hashlib._Hash, record: Record) -> None:
    """A record has the digest of its text, so that the name says what is in a block."""
    name.update(json.dumps(asdict(record)).encode())


def _name(owner: Owner, tokenizer: Tokenizer) -> hashlib._Hash:
    return hashlib.sha256("\n".join((FORMAT, tokenizer.fingerprint, owner.id)).encode())
