"""A suffix array over the normalised words of some of a segment's documents, in a folder of `parts`.

words.bin         u32  the number of each word in the lexicon, and a separator after each document
suffixes.bin      u64  packed places in suffix order
firsts.bin        u32  first rank of each word
lexicon.bin       u64  keys of the words (see `words.read`), ascending
documents.bin     u32  first place of each document, and the end
marks.bin         u32  where every 32nd word of a document begins, in bytes of its text
mark_edges.bin    u32  first mark of each document, and the end
manifest.json          size and SHA-256 of each; written last
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from services.tracing.approximate.words import Words, read
from services.tracing.index.files import File, is_whole, map_file, no_ranks
from services.tracing.index.segment import Segment
from services.tracing.search.arrays import Index, Numbers
from services.tracing.search.kernels import ranks_within
from services.tracing.search.packing import packed
from services.tracing.tokenizer import Ids

FORMAT = "candor-words-2"
FILES = {
    "words": np.uint32,
    "suffixes": np.uint64,
    "firsts": np.uint32,
    "lexicon": np.uint64,
    "documents": np.uint32,
    "marks": np.uint32,
    "mark_edges": np.uint32,
}
MARK = 32
"""Words between two marks."""
SEPARATOR = np.iinfo(np.uint32).max


class BadWords(ValueError):
    """A word index that is incomplete, altered or of another format. The message names it."""


class Manifest(BaseModel):
    """`manifest.json`: `words` are those of documents, `width` the bits of a place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    words: int
    width: int
    files: dict[str, File]


@dataclass(frozen=True, eq=False)
class WordIndex:
    """The open index of a segment's documents from number `begin` on.

    Places count words of all documents, with one for the end of each; `hidden` as in Segment, of these documents.
    """

    begin: int
    index: Index
    lexicon: NDArray[np.uint64]
    edges: NDArray[np.uint32]
    marks: NDArray[np.uint32]
    mark_edges: NDArray[np.uint32]
    hidden: Numbers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def end(self) -> int:
        """The number past that of the last document."""
        return self.begin + self.edges.size - 1

    def ids(self, keys: NDArray[np.uint64]) -> Ids:
        """The numbers of words; of one that the index does not have, a number that no word has."""
        at = np.searchsorted(self.lexicon, keys)
        known = at < self.lexicon.size
        known[known] = self.lexicon[at[known]] == keys[known]
        return np.where(known, at, self.lexicon.size).astype(np.uint32)

    def bounds(self, document: int) -> tuple[int, int]:
        """The places [first, last) of a document's words."""
        number = document - self.begin
        return int(self.edges[number]), int(self.edges[number + 1]) - 1

    def documents_at(self, places: Numbers) -> Numbers:
        """The numbers of the documents that hold places; (places,) int64."""
        return np.searchsorted(self.edges, places.astype(self.edges.dtype), side="right") - 1 + self.begin

    def hiding(self, documents: Numbers) -> WordIndex:
        """This index without some more documents of the segment; those that it does not hold make no difference."""
        held = documents[(documents >= self.begin) & (documents < self.end)]
        more = np.setdiff1d(held, self.hidden)
        if not more.size:
            return self
        bounds = np.array([self.bounds(document) for document in more.tolist()], dtype=np.int64)
        ranks = ranks_within(self.index.suffixes, bounds[:, 0].copy(), bounds[:, 1].copy())
        dead = np.union1d(self.index.dead, ranks).astype(np.uint32)
        dead.flags.writeable = False
        return replace(self, index=self.index._replace(dead=dead), hidden=np.union1d(self.hidden, more))

    def text(self, segment: Segment, document: int, first: int, last: int) -> tuple[str, Words]:
        """The text of the words [first, last) of a document, counted from its beginning, and those words in it.

        Begins and ends with them, so that what is between is there as it was written. Only what is near is decoded.
        """
        edge = int(self.mark_edges[document - self.begin])
        marks = self.marks[edge : int(self.mark_edges[document - self.begin + 1])]
        start = int(marks[first // MARK])
        end = int(marks[last // MARK + 1]) if last // MARK + 1 < marks.size else None
        text = _decoded(segment, document, start, end)
        words = read(text)
        chosen = slice(first % MARK, first % MARK + last - first)
        starts, ends = words.starts[chosen], words.ends[chosen]
        left = int(starts[0])
        return text[left : int(ends[-1])], Words(words.keys[chosen], starts - left, ends - left)


def open_words(folder: Path, begin: int) -> WordIndex | None:
    """Open a word index after checking every byte of it; None if no document has a word. Raises BadWords."""
    try:
        manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise BadWords(f"{folder.name} has no usable manifest ({type(error).__name__})") from error
    if manifest.format != FORMAT or set(manifest.files) != set(FILES):
        raise BadWords(f"{folder.name} is of another format than {FORMAT}")
    for name, file in manifest.files.items():
        if not is_whole(folder / f"{name}.bin", file):
            raise BadWords(f"{folder.name}: {name}.bin is missing, cut short or altered")
    if not manifest.words:
        return None
    arrays: dict[str, NDArray[Any]] = {name: map_file(folder / f"{name}.bin", kind) for name, kind in FILES.items()}
    index = Index(
        tokens=arrays["words"],
        separator=np.int64(SEPARATOR),
        suffixes=packed(arrays["suffixes"], manifest.words, manifest.width),
        firsts=arrays["firsts"][:-1],
        pasts=arrays["firsts"][1:],
        swapped=False,
        dead=no_ranks(),
    )
    return WordIndex(begin, index, arrays["lexicon"], arrays["documents"], arrays["marks"], arrays["mark_edges"])


def _decoded(segment: Segment, document: int, start: int, end: int | None) -> str:
    """The bytes [start, end) of a document's text, which are whole characters; to its end for None."""
    first, last = segment.bounds(document)
    tokens = segment.index.tokens[first:last]
    edges = np.concatenate(([0], np.cumsum(segment.tokenizer.lengths[tokens])))
    end = int(edges[-1]) if end is None else end
    low = int(np.searchsorted(edges, start, side="right")) - 1
    high = int(np.searchsorted(edges, end, side="left"))
    data = segment.tokenizer.decode(tokens[low:high])
    return data[start - int(edges[low]) : end - int(edges[low])].decode("utf-8")
