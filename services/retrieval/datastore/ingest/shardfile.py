"""A prepared shard as a file, written once and read one document at a time."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.retrieval.datastore.documents import Broken, Document
from services.retrieval.datastore.ingest.grams import Grams
from services.retrieval.datastore.ingest.minhash import BANDS
from services.retrieval.datastore.ingest.prepare import Prepared

_ABOUT = b"candor"
_FIELDS = ("id", "text", "title", "source", "licence", "url")
"""Of a document, in its order; then its metadata as JSON."""
_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.large_string()) for name in _FIELDS),
        ("metadata", pa.large_string()),
        ("file", pa.large_string()),
        ("place", pa.large_string()),
        ("removable", pa.bool_()),
        ("digest", pa.binary()),
        ("bands", pa.list_(pa.uint64(), BANDS)),
        ("grams", pa.large_list(pa.uint64())),
    ]
)


def write(path: Path, prepared: Prepared) -> None:
    """Write a shard (Arrow IPC) so that the file is whole or not there."""
    rows = [
        {
            **vars(entry.document),
            "metadata": json.dumps(entry.document.metadata),
            "file": entry.file,
            "place": entry.place,
            "removable": entry.removable,
            "digest": entry.fingerprint and entry.fingerprint.digest,
            "bands": entry.fingerprint and entry.fingerprint.bands,
            "grams": entry.fingerprint and entry.fingerprint.grams,
        }
        for entry in prepared.entries
    ]
    about = {
        "broken": [asdict(broken) for broken in prepared.broken],
        "dropped": prepared.dropped,
        "cut": prepared.cut,
    }
    table = pa.Table.from_pylist(rows, _SCHEMA).replace_schema_metadata({_ABOUT: json.dumps(about).encode()})
    temporary = path.with_name(f".{path.name}")
    with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    temporary.replace(path)


class ShardFile:
    """A prepared shard, mapped into memory."""

    def __init__(self, path: Path) -> None:
        self._table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        about = json.loads(self._table.schema.metadata[_ABOUT])
        self.broken = [Broken(**broken) for broken in about["broken"]]
        self.dropped: Counter[str] = Counter(about["dropped"])
        self.cut: Counter[str] = Counter(about["cut"])
        self._fields = [_column(self._table, name) for name in _FIELDS]
        self.ids: list[str] = self._table["id"].to_pylist()
        self.removable: list[bool] = self._table["removable"].to_pylist()

    def __len__(self) -> int:
        return len(self.ids)

    def document(self, row: int) -> Document:
        """One document."""
        fields: list[Any] = [column[row].as_py() for column in self._fields]
        fields.append(json.loads(self._table["metadata"][row].as_py()))
        return Document(*fields)

    def broken_by(self, row: int, fault: str) -> Broken:
        """A document as one that cannot stay, with the file and place that it is from."""
        return Broken(self._table["file"][row].as_py(), self._table["place"][row].as_py(), fault)

    @property
    def digests(self) -> list[bytes]:
        """Of every document, if the shard was prepared to be compared."""
        digests: list[bytes] = self._table["digest"].to_pylist()
        return digests

    @property
    def bands(self) -> NDArray[np.uint64]:
        """(documents, BANDS), if the shard was prepared to be compared."""
        bands: NDArray[np.uint64] = _column(self._table, "bands").flatten().to_numpy().reshape(-1, BANDS)
        return bands

    def grams(self, row: int) -> Grams:
        """The 5-grams of one document."""
        grams: Grams = self._table["grams"][row].values.to_numpy()
        return grams


def _column(table: pa.Table, name: str) -> pa.Array:
    """A column in one piece, which is read faster than a column of chunks."""
    return table[name].combine_chunks()
