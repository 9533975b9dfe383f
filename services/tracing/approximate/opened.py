"""The word indexes of segments, opened when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from services.tracing.approximate.index import BadWords, WordIndex, open_words, write_words
from services.tracing.index.records import Records
from services.tracing.index.segment import Segment

FOLDER = "words"


def has_words(segment: Path) -> bool:
    """Whether the folder of a segment has an index of its words that is whole."""
    try:
        open_words(segment / FOLDER)
    except BadWords:
        return False
    return True


def make_words(segment: Segment) -> bool:
    """Make the index of a segment's words. Whether it has any."""
    return write_words(segment.folder / FOLDER, segment)


class WordIndexes:
    """Word indexes by segment, without the documents that it hides."""

    def __init__(self) -> None:
        # what a segment hides is new with every deletion, and its records are not: files are read and checked once
        self._whole: WeakKeyDictionary[Records, WordIndex | str] = WeakKeyDictionary()
        self._shown: WeakKeyDictionary[Segment, WordIndex] = WeakKeyDictionary()
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
            whole, shown = self._whole.get(segment.records), self._shown.get(segment)
        if shown is not None:
            return shown
        whole = whole or _open(segment)
        shown = None if isinstance(whole, str) else whole.hiding(segment.hidden)
        with self._lock:
            self._whole[segment.records] = whole
            if shown is not None:
                self._shown[segment] = shown
        return shown or str(whole)


def _open(segment: Segment) -> WordIndex | str:
    folder = segment.folder / FOLDER
    if segment.lead or not folder.is_dir():
        return f"segment {segment.name} has no index of words: run `candor data build`"
    try:
        return open_words(folder)
    except BadWords as error:
        return str(error)
