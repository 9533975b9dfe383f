"""The word indexes of segments, opened when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from services.tracing.approximate.index import BadWords, WordIndex, open_words, write_words
from services.tracing.index.segment import Segment

FOLDER = "words"


def make_words(segment: Segment) -> bool:
    """Make the index of a segment's words, unless it is there and whole. Whether it was made."""
    folder = segment.folder / FOLDER
    try:
        open_words(folder)
    except BadWords:
        return write_words(folder, segment)
    return False


class WordIndexes:
    """Word indexes by segment, without the documents that it hides."""

    def __init__(self) -> None:
        self._opened: WeakKeyDictionary[Segment, WordIndex | str] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, segments: Sequence[Segment]) -> tuple[list[tuple[int, WordIndex]], list[str]]:
        """Those that there are, each with the number of its segment, and what is wrong with the others."""
        there: list[tuple[int, WordIndex]] = []
        missing: list[str] = []
        for number, segment in enumerate(segments):
            found = self._of(segment)
            if isinstance(found, str):
                missing.append(found)
            else:
                there.append((number, found))
        return there, missing

    def _of(self, segment: Segment) -> WordIndex | str:
        with self._lock:
            found = self._opened.get(segment)
        if found is None:
            found = _open(segment)
            with self._lock:
                self._opened[segment] = found
        return found


def _open(segment: Segment) -> WordIndex | str:
    folder = segment.folder / FOLDER
    if segment.lead or not folder.is_dir():
        return f"segment {segment.name} has no index of words: run `candor data build`"
    try:
        return open_words(folder).hiding(segment.hidden)
    except BadWords as error:
        return str(error)
