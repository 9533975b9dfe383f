"""Putting an owner's prepared shards together: ids that occur twice, duplicates, and the order of a segment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import overload

import numpy as np

from services.retrieval.datastore.documents import Broken, Document
from services.retrieval.datastore.ingest.duplicates import duplicates
from services.retrieval.datastore.ingest.grams import Grams
from services.retrieval.datastore.ingest.minhash import BANDS
from services.retrieval.datastore.ingest.shardfile import ShardFile
from services.retrieval.datastore.keys import Digests, digests


@dataclass(frozen=True)
class _Place:
    """A document among the shards of its source."""

    shard: ShardFile
    row: int


class Documents(Sequence[Document]):
    """Documents in ascending order of id, read when asked for."""

    def __init__(self, places: Sequence[_Place]) -> None:
        self._places = sorted(places, key=lambda place: place.shard.ids[place.row])

    def __len__(self) -> int:
        return len(self._places)

    def without(self, deleted: Digests) -> Documents:
        """Less those whose ids have these digests."""
        gone = np.isin(digests([place.shard.ids[place.row] for place in self._places]), deleted)
        return Documents([place for place, out in zip(self._places, gone, strict=True) if not out])

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Document]: ...
    def __getitem__(self, index: int | slice) -> Document | Sequence[Document]:
        if isinstance(index, slice):
            return Documents(self._places[index])
        place = self._places[index]
        return place.shard.document(place.row)


@dataclass(frozen=True)
class Account:
    """What became of the documents of a source: `read` = those in `dropped` + `kept`; `broken` could not be read.

    `cut` counts what was taken out of kept documents.
    """

    read: int
    broken: list[Broken]
    dropped: Counter[str]
    cut: Counter[str]
    kept: int

    def __str__(self) -> str:
        gone = "".join(f", {count} left out: {rule}" for rule, count in sorted(self.dropped.items()))
        cut = "".join(f", {count} taken out: {what}" for what, count in sorted(self.cut.items()))
        broken = f", {len(self.broken)} broken" if self.broken else ""
        return f"{self.read} documents read{broken}{gone}{cut}, {self.kept} kept"


@dataclass(frozen=True)
class Joined:
    """The documents of a source, and the account of how it came to them."""

    documents: Documents
    account: Account

    def without(self, deleted: Digests) -> Joined:
        """Less the documents whose ids have these digests."""
        if not deleted.size:
            return self
        documents = self.documents.without(deleted)
        gone = len(self.documents) - len(documents)
        dropped = self.account.dropped + Counter({"deleted through the API": gone})
        return Joined(documents, replace(self.account, dropped=dropped, kept=len(documents)))


@dataclass
class _Source:
    places: list[_Place]
    broken: list[Broken]
    dropped: Counter[str]
    cut: Counter[str] = field(default_factory=Counter)


def join(shards: Mapping[str, Sequence[ShardFile]], compare: bool) -> dict[str, Joined]:
    """By source, in the order given, from its shards in order of place.

    Of documents with one id the first stays. If `compare`, duplicates are left out: whatever may not be left out
    stands before what may, and then the first stays.
    """
    sources = {name: _unique(parts) for name, parts in shards.items()}
    if compare:
        _leave_out_duplicates(sources)
    return {name: _joined(source) for name, source in sources.items()}


def _unique(shards: Sequence[ShardFile]) -> _Source:
    broken = [fault for shard in shards for fault in shard.broken]
    dropped = sum((shard.dropped for shard in shards), Counter[str]())
    cut = sum((shard.cut for shard in shards), Counter[str]())
    places: dict[str, _Place] = {}
    for shard in shards:
        for row, identity in enumerate(shard.ids):
            if identity in places:
                broken.append(shard.broken_by(row, f"an earlier document has the id {identity!r}"))
            else:
                places[identity] = _Place(shard, row)
    return _Source(list(places.values()), broken, dropped, cut)


def _leave_out_duplicates(sources: Mapping[str, _Source]) -> None:
    every = [(source, place) for source in sources.values() for place in source.places]
    every.sort(key=lambda one: one[1].shard.removable[one[1].row])  # stable: in order of place within each half
    columns = {id(shard): (shard.digests, shard.bands) for shard in {id(p.shard): p.shard for _, p in every}.values()}

    def grams(number: int) -> Grams:
        place = every[number][1]
        return place.shard.grams(place.row)

    found = duplicates(
        [columns[id(place.shard)][0][place.row] for _, place in every],
        np.array([columns[id(place.shard)][1][place.row] for _, place in every], np.uint64).reshape(-1, BANDS),
        grams,
        [place.shard.removable[place.row] for _, place in every],
    )
    gone: dict[int, set[_Place]] = {}
    for number, kind in found.items():
        source, place = every[number]
        source.dropped[kind] += 1
        gone.setdefault(id(source), set()).add(place)
    for source in sources.values():
        source.places = [place for place in source.places if place not in gone.get(id(source), ())]


def _joined(source: _Source) -> Joined:
    kept = len(source.places)
    read = kept + source.dropped.total()
    return Joined(Documents(source.places), Account(read, source.broken, source.dropped, source.cut, kept))
