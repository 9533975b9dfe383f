"""Taking evaluation questions out of documents, so that a benchmark measures retrieval and not recollection."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from services.retrieval.datastore.ingest.grams import Grams, grams, jaccard, words

N = 13
THRESHOLD = 0.7

_FIELDS = ("question", "query", "text")
_blank_line = re.compile(r"\n[^\S\n]*\n")
_line = re.compile(r"[^\n]+")


class BadQueries(Exception):
    """A file of evaluation queries cannot be used: the message names file and line."""


class Queries:
    """Evaluation queries as sets of 13-grams. A query of fewer words is one gram."""

    def __init__(self, queries: Iterable[str] = ()) -> None:
        texts = sorted(set(queries))
        self._grams = [gram for text in texts if len(gram := _grams(text))]
        self._having: dict[int, list[int]] = defaultdict(list)
        for number, query in enumerate(self._grams):
            for gram in query.tolist():
                self._having[gram].append(number)
        self.digest = hashlib.sha256("\0".join(texts).encode()).hexdigest() if texts else ""
        """Another for other queries; empty for none."""

    @classmethod
    def of(cls, files: Sequence[Path]) -> Queries:
        """The field `question`, `query` or `text` of each line of JSONL files. Raises BadQueries: a line that was
        passed over would leave its question in the datastore."""
        return cls(query for file in files for query in _read(file))

    def match(self, text: str) -> bool:
        """Whether a text is over 0.7 alike to a query, by Jaccard similarity of 13-grams."""
        found = _grams(text)
        near = {query for gram in found.tolist() for query in self._having.get(gram, ())}
        return any(jaccard(found, self._grams[query]) > THRESHOLD for query in near)

    def take_out(self, text: str) -> tuple[str, int]:
        """A text without its paragraphs that match a query, nor lines of the others that do, and how many were
        taken out. Source: CompactDS (Lyu et al. 2025), which drops paragraphs; files differ in whether a line is one.
        """
        if not self._grams:
            return text, 0
        taken: list[tuple[int, int]] = []
        for start, end in _paragraphs(text):
            if self.match(text[start:end]):
                taken.append((start, end))
            else:
                taken += [line.span() for line in _line.finditer(text, start, end) if self.match(line[0])]
        kept, place = [], 0
        for start, end in taken:
            kept.append(text[place:start])
            place = end
        return "".join([*kept, text[place:]]), len(taken)


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for blank in _blank_line.finditer(text):
        yield start, blank.start()
        start = blank.end()
    yield start, len(text)


def _grams(text: str) -> Grams:
    found = words(text)
    return grams(found, min(N, len(found))) if found else np.empty(0, np.uint64)


def _read(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _query(line, f"{path}, line {number}")
    except OSError as error:
        raise BadQueries(f"{path}: {error.strerror}") from error


def _query(line: bytes, place: str) -> str:
    try:
        fields = json.loads(line.decode())
    except ValueError as error:
        raise BadQueries(f"{place}: {error}") from error
    found = next((fields[name] for name in _FIELDS if name in fields), None) if isinstance(fields, dict) else None
    if not isinstance(found, str):
        raise BadQueries(f"{place}: needs a string {', '.join(f'`{name}`' for name in _FIELDS[:-1])} or `text`")
    return found
