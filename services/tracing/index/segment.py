"""One segment to whoever searches it: a suffix array over the documents of one owner, some of which may be hidden."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Set
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.tracing.index.records import Hashes, Key, Record, Records, hashes
from services.tracing.search.arrays import Index, Numbers
from services.tracing.search.kernels import ranks_of, ranks_within
from services.tracing.tokenizer import Ids, Tokenizer

WALK = 64
"""Looking up a suffix costs as much as walking past so many of them."""


@dataclass(frozen=True, eq=False)
class Segment:
    """An open segment. Documents are numbered from 0; what is counted are those that are not hidden.

    `edges` (documents + 1,): document d is the tokens from `edges[d] + lead` to before `edges[d + 1] - 1 + lead`, where
    `lead` is 1 if its separator stands before it and 0 if behind. `term_documents` (terms,): how many documents contain
    each term (see Tokenizer.terms), none of them hidden. `bytes` is the size on disk. `hidden` (documents,) ascending.
    """

    name: str
    owner: str
    tokenizer: Tokenizer
    index: Index
    edges: NDArray[np.unsignedinteger[Any]]
    records: Records
    term_documents: NDArray[np.unsignedinteger[Any]]
    bytes: int
    folder: Path
    lead: int = 0
    hidden: Numbers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def held(self) -> int:
        """How many documents are on disk, hidden ones too."""
        return int(self.edges.size) - 1

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return self.held - self.hidden.size

    def alive(self) -> Numbers:
        """The documents that are not hidden, ascending; (documents,) int64."""
        return np.setdiff1d(np.arange(self.held), self.hidden)

    @cached_property
    def tokens(self) -> int:
        """How many tokens they have, separators aside."""
        return int(self.document_lengths().sum())

    def document_lengths(self) -> Numbers:
        """Tokens of each document; (documents,) int64."""
        return np.asarray(np.delete(np.diff(self.edges.astype(np.int64)) - 1, self.hidden))

    @cached_property
    def tokens_of_views(self) -> Callable[[int], int]:
        """Tokens of all documents, of each at most so many; remembered."""
        return cache(lambda most: int(np.minimum(self.document_lengths(), most).sum()))

    def occurrences(self, ids: Ids) -> Numbers:
        """How often each of these tokens occurs in the segment; (ids,) int64."""
        low, high = self.index.firsts[ids].astype(np.int64), self.index.pasts[ids].astype(np.int64)
        dead = self.index.dead
        return high - low - (np.searchsorted(dead, high) - np.searchsorted(dead, low))

    def documents_at(self, positions: Numbers) -> Numbers:
        """The numbers of the documents that hold positions of `index.tokens`; (positions,) int64."""
        # of one type with the edges, which are not copied then
        return np.searchsorted(self.edges, positions.astype(self.edges.dtype), side="right") - 1

    def bounds(self, document: int) -> tuple[int, int]:
        """The positions [first, last) of a document's tokens, its separator not among them."""
        return int(self.edges[document]) + self.lead, int(self.edges[document + 1]) - 1 + self.lead

    def text(self, document: int) -> str:
        """A document's whole text."""
        first, last = self.bounds(document)
        return self.tokenizer.decode(self.index.tokens[first:last]).decode("utf-8", "replace")

    def record(self, document: int) -> Record:
        """What is known of a document."""
        return self.records.record(document)

    def find(self, key: Key, value: str) -> list[int]:
        """The documents with this id, URL or SHA-256 of the text."""
        return self.find_any(key, {value}, hashes(key, [value]))

    def find_any(self, key: Key, values: Set[str], hashed: Hashes) -> list[int]:
        """The documents with one of these values, of which `hashed` are the hashes."""
        candidates = np.setdiff1d(np.array(self.records.candidates(key, hashed), dtype=np.int64), self.hidden)
        return [document for document in candidates.tolist() if self._value(key, document) in values]

    def hiding(self, documents: Numbers) -> Segment:
        """This segment without some documents: every query answers as if it had been built without them."""
        more = np.setdiff1d(documents, self.hidden)
        if not more.size:
            return self
        dead = np.union1d(self.index.dead, self._ranks(more)).astype(self.index.dead.dtype)
        dead.flags.writeable = False  # as memory maps are, so that the search is compiled once
        return replace(
            self,
            index=self.index._replace(dead=dead),
            hidden=np.union1d(self.hidden, more),
            term_documents=self.term_documents - _term_documents(self, more),
        )

    def _value(self, key: Key, document: int) -> str | None:
        record = self.record(document)
        if key == "sha256":
            return record.sha256 or hashlib.sha256(self.text(document).encode("utf-8")).hexdigest()
        return record.id if key == "id" else record.url

    def _ranks(self, documents: Numbers) -> Numbers:
        """The ranks of all suffixes of documents, by whichever way is shorter."""
        bounds = np.array([self.bounds(document) for document in documents.tolist()], dtype=np.int64)
        firsts, lasts = bounds.T.copy()
        if WALK * int((lasts - firsts).sum()) > int(self.index.suffixes.size):
            return ranks_within(self.index.suffixes, firsts, lasts)
        return np.concatenate([ranks_of(self.index, first, last) for first, last in bounds.tolist()])


def _term_documents(segment: Segment, documents: Numbers) -> NDArray[np.uint32]:
    """In how many of some documents each term occurs."""
    bounds = [segment.bounds(document) for document in documents.tolist()]
    return term_documents([segment.index.tokens[first:last] for first, last in bounds], segment.tokenizer)


def term_documents(documents: list[Ids], tokenizer: Tokenizer) -> NDArray[np.uint32]:
    """In how many of the documents each term occurs; (terms,)."""
    counts = np.zeros(tokenizer.term_count, dtype=np.uint32)
    for ids in documents:
        counts[np.unique(tokenizer.terms[ids])] += 1
    return counts
