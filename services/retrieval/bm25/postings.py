"""The postings of one segment: which words stand in which passages, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore.strings import Strings
from services.retrieval.ranking import Rows

Pairs = NDArray[np.int32]
Places = NDArray[np.int64]

_POSTING = np.dtype([("passage", "<i4"), ("count", "<i4")])


class Postings:
    """Counts only, and no weights: a weight depends on how rare a word is among all that is searched, which is
    another number for each set of owners. Files are mapped into memory, and a query reads its own words' postings.
    """

    def __init__(self, folder: Path) -> None:
        self._terms = Strings(folder, "terms")
        self._offsets: NDArray[np.int64] = np.asarray(np.load(folder / "terms.postings.npy", mmap_mode="r"))
        # views of the maps, since compiled functions want plain arrays
        self.pairs: Pairs = np.asarray(np.load(folder / "postings.npy", mmap_mode="r")).view(np.int32).reshape(-1, 2)
        """(n, 2) rows of passages, and how often each has the word that the posting is of."""
        self.lengths: NDArray[np.int32] = np.asarray(np.load(folder / "lengths.npy", mmap_mode="r"))
        """Words of each passage."""
        self.words = int(self.lengths.sum(dtype=np.int64))
        """Words of all passages."""
        self.longest = int(self.lengths.max(initial=0))
        """Words of the longest."""

    @staticmethod
    def write(folder: Path, texts: Sequence[Sequence[str]]) -> None:
        """Write the postings of passages, each given as its words."""
        lengths = np.array([len(text) for text in texts], np.int32)
        terms = sorted(set(chain.from_iterable(texts)))
        number = {term: index for index, term in enumerate(terms)}
        flat = np.fromiter((number[word] for text in texts for word in text), np.int64, int(lengths.sum()))
        # one key for a word in a passage; sorted, the keys are the postings in order of word, then passage
        keys, counts = np.unique(
            flat * max(len(texts), 1) + np.repeat(np.arange(len(texts)), lengths), return_counts=True
        )
        postings = np.empty(len(keys), _POSTING)
        postings["passage"], postings["count"] = keys % max(len(texts), 1), counts
        Strings.write(folder, "terms", terms)
        np.save(folder / "terms.postings.npy", np.searchsorted(keys, np.arange(len(terms) + 1) * max(len(texts), 1)))
        np.save(folder / "postings.npy", postings)
        np.save(folder / "lengths.npy", lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def size(self, alive: Rows = None) -> tuple[int, int]:
        """How many passages there are, and words in them, less those that are not alive."""
        if alive is None:
            return len(self), self.words
        return int(alive.sum()), int(self.lengths[alive].sum(dtype=np.int64))

    def places(self, words: Sequence[str]) -> Places:
        """(words, 2) where the postings of each word begin in `pairs` and where they end, in ascending order of row."""
        terms = [self._terms.find(word) for word in words]
        there = [(0, 0) if term is None else (self._offsets[term], self._offsets[term + 1]) for term in terms]
        return np.array(there, np.int64).reshape(-1, 2)
