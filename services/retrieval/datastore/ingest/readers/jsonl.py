"""JSON lines: a document a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.ingest.readers.base import File, Found, Origin, Part, document


def split(path: Path, size: int) -> Iterator[Part]:
    """Parts in bytes, cut between lines."""
    start, first = 0, 1
    with path.open("rb") as file:
        while lines := file.readlines(size):
            end = start + sum(map(len, lines))
            yield Part(start, end, first)
            start, first = end, first + len(lines)


def read(file: File, part: Part, origin: Origin) -> Iterator[Found]:
    """A document or a fault for each line that is not blank."""
    with file.path.open("rb") as stream:
        stream.seek(part.start)
        number, left = part.first, part.end - part.start
        while left > 0 and (line := stream.readline()):
            if line.strip():
                yield f"line {number}", _parse(line, origin)
            number, left = number + 1, left - len(line)


def _parse(line: bytes, origin: Origin) -> Document | str:
    """The line comes as bytes, so that one that is not UTF-8 does not make the others unreadable."""
    try:
        fields = json.loads(line.decode())
        if not isinstance(fields, dict):
            raise ValueError("not a JSON object")
        return document(fields, origin)
    except (ValueError, RecursionError) as error:
        return str(error)
