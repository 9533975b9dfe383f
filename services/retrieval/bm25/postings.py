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

_POSTING = np.dtype([("passage", "<i4"), ("count", "<i4")])


class Postings:
    """Counts only, and no weights: a weight depends on how rare a word is among all that is searched, which is
    another number for each set of owners. Files are mapped into memory, and a query reads its own words' postings.
    """

    def __init__(self, folder: Path) -> None:
        self._terms = Strings(folder, "terms")
        self._offsets: NDArray[np.int64] = np.asarray(np.load(folder / "terms.postings.npy", mmap_mode="r"))
        # views of the maps, since compiled functions want plain arrays
        self._postings: Pairs = (
            np.asarray(np.load(folder / "postings.npy", mmap_mode="r")).view(np.int32).reshape(-1, 2)
        )
        self.lengths: NDArray[np.int32] = np.asarray(np.load(folder / "lengths.npy", mmap_mode="r"))
        """Words of each passage."""
        self.words = int(self.lengths.sum(dtype=np.int64))
        """Words of all passages."""

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

    def of(self, word: str, alive: Rows = None) -> Pairs:
        """(n, 2) rows of the passages that have a word, ascending, less those that are not alive, with how often each
        has it."""
        term = self._terms.find(word)
        if term is None:
            return np.empty((0, 2), np.int32)
        postings = self._postings[self._offsets[term] : self._offsets[term + 1]]
        return postings if alive is None else postings[alive[postings[:, 0]]]
