"""Parquet: a document a row, as data sets on hubs come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from services.retrieval.datastore.ingest.readers.base import File, Found, Origin, Part, document

_COLUMNS = ("id", "text", "title", "source", "licence", "url", "owner", "metadata")


def split(path: Path, size: int) -> Iterator[Part]:
    """Parts in row groups. A file that is no Parquet is one part, which says so when it is read."""
    try:
        with pq.ParquetFile(path) as file:
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    except (pa.ArrowException, OSError):
        yield Part(0, 0)
        return
    start, first, rows, held = 0, 1, 0, 0
    for number, group in enumerate(groups, start=1):
        rows, held = rows + group.num_rows, held + group.total_byte_size
        if held >= size or number == len(groups):
            yield Part(start, number, first)
            start, first, rows, held = number, first + rows, 0, 0


def read(file: File, part: Part, origin: Origin) -> Iterator[Found]:
    """A document or a fault for each row. Without a column `id`, rows are known by their number in the file."""
    try:
        with pq.ParquetFile(file.path) as table:
            columns = [name for name in _COLUMNS if name in table.schema_arrow.names]
            number = part.first
            for group in range(part.start, part.end):
                yield from _group(table, group, file, origin, number=number, columns=columns)
                number += table.metadata.row_group(group).num_rows
    except (pa.ArrowException, OSError) as error:
        yield "", str(error)


def _group(
    table: pq.ParquetFile, group: int, file: File, origin: Origin, *, number: int, columns: list[str]
) -> Iterator[Found]:
    try:
        rows = table.read_row_group(group, columns=columns).to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        yield f"row group {group + 1}", str(error)
        return
    for row, fields in enumerate(rows, start=number):
        try:
            own = None if "id" in columns else f"{origin.source}:{file.key}:{row}"
            yield f"row {row}", document(fields, origin, own)
        except ValueError as error:
            yield f"row {row}", str(error)
