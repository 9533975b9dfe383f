"""The word indexes of segments, opened when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from services.tracing.approximate.index import BadWords, WordIndex
from services.tracing.approximate.parts import open_parts
from services.tracing.index.records import Records
from services.tracing.index.segment import Segment


class WordIndexes:
    """Word indexes by segment, without the documents that it hides."""

    def __init__(self) -> None:
        # what a segment hides is new with every deletion, and its records are not: files are read and checked once
        self._whole: WeakKeyDictionary[Records, list[WordIndex] | str] = WeakKeyDictionary()
        self._shown: WeakKeyDictionary[Segment, list[WordIndex]] = WeakKeyDictionary()
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
                there += [(number, index) for index in found]
        return there, missing

    def _of(self, segment: Segment) -> list[WordIndex] | str:
        with self._lock:
            whole, shown = self._whole.get(segment.records), self._shown.get(segment)
        if shown is not None:
            return shown
        whole = _open(segment) if whole is None else whole
        shown = None if isinstance(whole, str) else [index.hiding(segment.hidden) for index in whole]
        with self._lock:
            self._whole[segment.records] = whole
            if shown is not None:
                self._shown[segment] = shown
        return str(whole) if shown is None else shown


def _open(segment: Segment) -> list[WordIndex] | str:
    if segment.lead:
        return f"segment {segment.name} is of an index of infini-gram's, which has no words: they are not searched"
    try:
        return open_parts(segment.folder, segment.held)
    except BadWords as error:
        return f"{error}: run `candor data build`"
