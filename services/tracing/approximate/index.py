"""A suffix array over the normalised words of a segment, in the folder `words` beside it.

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
from services.tracing.index.files import File, is_whole, map_file, no_ranks, write_durably, write_file
from services.tracing.index.segment import Segment
from services.tracing.index.suffixes import first_ranks, suffix_array
from services.tracing.search.arrays import Index, Numbers
from services.tracing.search.kernels import ranks_within
from services.tracing.search.packing import pack, packed, width_for
from services.tracing.tokenizer import Ids

FORMAT = "candor-words-1"
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
    """The open index. Places count words of all documents, with one for the end of each; `hidden` as in Segment."""

    index: Index
    lexicon: NDArray[np.uint64]
    edges: NDArray[np.uint32]
    marks: NDArray[np.uint32]
    mark_edges: NDArray[np.uint32]
    hidden: Numbers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def ids(self, keys: NDArray[np.uint64]) -> Ids:
        """The numbers of words; of one that the index does not have, a number that no word has."""
        at = np.searchsorted(self.lexicon, keys)
        known = at < self.lexicon.size
        known[known] = self.lexicon[at[known]] == keys[known]
        return np.where(known, at, self.lexicon.size).astype(np.uint32)

    def bounds(self, document: int) -> tuple[int, int]:
        """The places [first, last) of a document's words."""
        return int(self.edges[document]), int(self.edges[document + 1]) - 1

    def documents_at(self, places: Numbers) -> Numbers:
        """The numbers of the documents that hold places; (places,) int64."""
        return np.searchsorted(self.edges, places.astype(self.edges.dtype), side="right") - 1

    def hiding(self, documents: Numbers) -> WordIndex:
        """This index without some more documents."""
        more = np.setdiff1d(documents, self.hidden)
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
        edge = int(self.mark_edges[document])
        marks = self.marks[edge : int(self.mark_edges[document + 1])]
        start = int(marks[first // MARK])
        end = int(marks[last // MARK + 1]) if last // MARK + 1 < marks.size else None
        text = _decoded(segment, document, start, end)
        words = read(text)
        chosen = slice(first % MARK, first % MARK + last - first)
        starts, ends = words.starts[chosen], words.ends[chosen]
        left = int(starts[0])
        return text[left : int(ends[-1])], Words(words.keys[chosen], starts - left, ends - left)


def open_words(folder: Path) -> WordIndex:
    """Open a word index after checking every byte of it. Raises BadWords."""
    try:
        manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise BadWords(f"{folder.parent.name}/{folder.name} has no usable manifest ({type(error).__name__})") from error
    if manifest.format != FORMAT or set(manifest.files) != set(FILES):
        raise BadWords(f"{folder.parent.name}/{folder.name} is of another format than {FORMAT}; build it again")
    for name, file in manifest.files.items():
        if not is_whole(folder / f"{name}.bin", file):
            raise BadWords(f"{folder.parent.name}/{folder.name}: {name}.bin is missing, cut short or altered")
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
    return WordIndex(index, arrays["lexicon"], arrays["documents"], arrays["marks"], arrays["mark_edges"])


def write_words(folder: Path, segment: Segment) -> bool:
    """Make the word index of a segment, hidden documents and all. False, and no folder, if it has no words."""
    keys, marks = [], []
    for number in range(segment.held):
        text = segment.text(number)
        found = read(text)
        keys.append(found.keys)
        marks.append(_marks(text, found))
    lexicon, numbers = np.unique(np.concatenate(keys), return_inverse=True)
    if not numbers.size:
        return False
    lengths = np.array([one.size for one in keys], dtype=np.int64)
    ends = np.cumsum(lengths)
    words = np.insert(numbers.astype(np.uint32), ends, np.uint32(SEPARATOR))
    suffixes, width = suffix_array(words), width_for(words.size)
    arrays: dict[str, NDArray[Any]] = {
        "words": words,
        "suffixes": pack(suffixes, width),
        "firsts": first_ranks(words, lexicon.size),
        "lexicon": lexicon,
        "documents": np.concatenate(([0], ends + np.arange(1, ends.size + 1))).astype(np.uint32),
        "marks": np.concatenate(marks).astype(np.uint32),
        "mark_edges": np.cumsum([0, *(one.size for one in marks)]).astype(np.uint32),
    }
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: write_file(folder / f"{name}.bin", arrays[name]) for name in FILES}
    manifest = Manifest(format=FORMAT, words=int(suffixes.size), width=width, files=files)
    write_durably(folder / "manifest.json", manifest.model_dump_json(indent=2).encode("utf-8"))
    return True


def _marks(text: str, words: Words) -> Numbers:
    """The bytes of a text at which every MARKth word begins."""
    sizes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    widths = 1 + (sizes > 0x7F).astype(np.int64) + (sizes > 0x7FF) + (sizes > 0xFFFF)
    before = np.concatenate(([0], np.cumsum(widths)))
    return before[words.starts[::MARK]]


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
