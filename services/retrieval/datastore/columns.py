"""What is known of a segment's documents, by column, for filters."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.rare import RARE, TYPES, Rare
from services.retrieval.filters import METADATA, Comparison, Filter, Value

FILE = "columns.arrow"

Mask = NDArray[np.bool_]

_FEW = 16
"""A column of its own has what one document in so many says, or more of them."""

_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "lt": pc.less,
    "lte": pc.less_equal,
    "gt": pc.greater,
    "gte": pc.greater_equal,
}


class Columns:
    """A column for each field and type of value (Arrow IPC), mapped into memory; a document that has no value of that
    type is null there. What few documents have is in one column together, by document a list of names and values: so
    the file grows with what is said, and not with the names there are times the documents. Numbers are compared as
    64-bit floats."""

    def __init__(self, folder: Path) -> None:
        self._table = pa.ipc.open_file(pa.memory_map(str(folder / FILE))).read_all()
        self._rare = Rare(self._table[RARE].combine_chunks()) if RARE in self._table.column_names else None

    @staticmethod
    def write(folder: Path, documents: Iterable[Document]) -> None:
        """Write the file for documents in order of row."""
        rows = [_fields(document) for document in documents]
        counts = Counter(name for row in rows for name in row)
        names = sorted(name for name, count in counts.items() if count * _FEW >= len(rows))
        columns = {name: pa.array([row.get(name) for row in rows], TYPES[name[0]]) for name in names}
        if len(names) < len(counts):
            columns[RARE] = Rare.column([[*(row.keys() - names)] for row in rows], rows)
        with pa.OSFile(str(folder / FILE), "wb") as sink:
            table = pa.table(columns or {"none": pa.nulls(len(rows))})
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)

    def passing(self, wanted: Filter | Comparison) -> Mask:
        """(documents,) which of them pass a filter."""
        if isinstance(wanted, Comparison):
            return self._compared(wanted)
        masks = [self.passing(part) for part in wanted.parts]
        if wanted.join == "not":
            return ~masks[0]
        together: Mask = reduce(operator.and_ if wanted.join == "all" else operator.or_, masks)
        return together

    def _compared(self, wanted: Comparison) -> Mask:
        value, field = wanted.value, wanted.field
        if isinstance(value, tuple):
            return self._among(field, value)
        if wanted.kind == "exists":
            there = self._there(field)
            return there if value else ~there
        if wanted.kind == "eq":
            return self._among(field, [value])
        if wanted.kind == "ne":
            return self._there(field) & ~self._among(field, [value])
        column = self._column(field, _type(value))
        return (
            self._none()
            if column is None
            else _mask(_ORDER[wanted.kind](column, pa.scalar(_plain(value), column.type)))
        )

    def _there(self, field: str) -> Mask:
        columns = [column for kind in TYPES if (column := self._column(field, kind)) is not None]
        there: Mask = reduce(operator.or_, [_mask(pc.is_valid(column)) for column in columns], self._none())
        return there

    def _among(self, field: str, values: Sequence[Value]) -> Mask:
        found = self._none()
        for kind, of in TYPES.items():
            wanted = [_plain(value) for value in values if _type(value) == kind]
            column = self._column(field, kind)
            if wanted and column is not None:
                found |= _mask(pc.is_in(column, value_set=pa.array(wanted, of)))
        return found

    def _column(self, field: str, kind: str) -> Any:
        name = f"{kind}:{field}"
        if name in self._table.column_names:
            return self._table[name]
        return self._rare.find(name) if self._rare else None

    def _none(self) -> Mask:
        return np.zeros(self._table.num_rows, bool)


def _fields(document: Document) -> dict[str, Value]:
    said = {name: getattr(document, name) for name in ("title", "source", "licence", "url")}
    fields = {f"s:{name}": value for name, value in said.items() if value is not None}
    fields["s:document"] = document.id
    return fields | {f"{_type(value)}:{METADATA}{name}": _plain(value) for name, value in document.metadata.items()}


def _plain(value: Value) -> Value:
    # a large integer is not refused for being no exact float
    return float(value) if _type(value) == "n" else value


def _type(value: Value) -> str:
    if isinstance(value, bool):
        return "b"
    return "s" if isinstance(value, str) else "n"


def _mask(column: Any) -> Mask:
    return np.asarray(pc.fill_null(column, False).to_numpy())
