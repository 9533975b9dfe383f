"""The parts in which the words of a segment are indexed: documents in a row, each part in a folder named by them.

    SEGMENT/words/00000000-00004671/    the documents [0, 4671); see `index`

A segment's words are indexed when the parts that are there have all its documents: so a build that was killed goes on
where it was, and no part takes more memory than it may.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.tracing.approximate.index import BadWords, WordIndex, open_words
from services.tracing.approximate.writing import write_words
from services.tracing.index.segment import Segment
from services.tracing.index.stored import open_segment
from services.tracing.tokenizer import Tokenizer
from shared.durable import discard
from shared.schedule import Advance

FOLDER = "words"
PART = 1 << 25
"""Tokens of a part, unless a document has more."""
BYTES = 64
"""Memory that making a part takes for each token: 29 of English, and up to this where a token has more than a word."""

_NAME = re.compile(r"(\d{8,})-(\d{8,})")


@dataclass(frozen=True)
class Part:
    """The documents [first, last) of the segment in a folder."""

    segment: Path
    owner: str
    first: int
    last: int

    @property
    def folder(self) -> Path:
        """Where their words are."""
        return self.segment / FOLDER / f"{self.first:08}-{self.last:08}"


def parts(segment: Segment, tokens: int = PART) -> list[Part]:
    """A segment's documents in parts of at most so many tokens, or of one document."""
    cut = [0]
    for document in range(1, segment.held):
        if int(segment.edges[document + 1]) - int(segment.edges[cut[-1]]) > tokens:
            cut.append(document)
    edges = zip(cut, [*cut[1:], segment.held], strict=True)
    return [Part(segment.folder, segment.owner, first, last) for first, last in edges if first < last]


class PartIndexer:
    """Indexes the words of parts; `advance` is told how many documents."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __call__(self, part: Part, advance: Advance) -> None:
        """Write one. Raises BadSegment."""
        discard(part.folder)  # what a killed build left unfinished
        write_words(part.folder, open_segment(part.segment, part.owner, self._tokenizer), part.first, part.last)
        advance(part.last - part.first)


def unfinished(planned: Sequence[Part]) -> list[Part]:
    """Those parts of a segment that are not there, or damaged. What is in no part of the plan is removed."""
    folders = {part.folder for part in planned}
    for part in planned[:1]:
        for path in set(part.folder.parent.glob("*")) - folders:
            if path.is_dir():
                discard(path)
            else:  # of an index that was in one part
                path.unlink()
    return [part for part in planned if not _is_finished(part)]


def open_parts(folder: Path, documents: int) -> list[WordIndex]:
    """The indexes of the words of a segment with so many documents, those without a word left out.

    Every byte is checked. Raises BadWords if one is damaged, or if not all documents are in one.
    """
    opened, end = [], 0
    for first, last, path in _there(folder):
        if first != end:
            break
        opened.append(open_words(path, first))
        end = last
    if end != documents:
        raise BadWords(f"segment {folder.name} has no index of the words of its documents from {end:,} on")
    return [index for index in opened if index is not None]


def _is_finished(part: Part) -> bool:
    try:
        open_words(part.folder, part.first)
    except BadWords:
        return False
    return True


def _there(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """The parts of a segment's folder, by their first document."""
    for path in sorted((folder / FOLDER).glob("*")):
        if (name := _NAME.fullmatch(path.name)) is not None:
            yield int(name[1]), int(name[2]), path
