"""A data set of a hub as an owner's texts, put where the datastore is built from."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gateway.data.hub import BadDataset, Name, fetch


@dataclass(frozen=True)
class Columns:
    """Which columns are the text, the id and the title of a document; without an id, the row's place is it."""

    text: str = "text"
    id: str | None = None
    title: str | None = None


@dataclass(frozen=True)
class Added:
    """What was written where, at which commit of the hub, under which licence."""

    folder: Path
    commit: str
    licence: str
    documents: int


def add(
    wanted: Name, texts: Path, split: str, columns: Columns, *, licence: str | None = None, endpoint: str | None = None
) -> Added:
    """Download the Parquet files of a split to the folder `texts`/SOURCE, with the columns that the datastore reads.

    `licence` is used where the data set's card names none. The folder appears whole or not at all. Raises BadDataset.
    """
    target = texts / wanted.source
    if target.exists():
        raise BadDataset(f"{target} is there already: remove it first.")
    texts.mkdir(parents=True, exist_ok=True)
    # hidden, so that no build takes it for a source
    with tempfile.TemporaryDirectory(dir=texts, prefix=".hub-") as work:
        fetched = fetch(wanted, split, Path(work) / "hub", endpoint)
        chosen = licence or fetched.licence
        if chosen is None:
            raise BadDataset(f"The card of {wanted.name} names no licence: give one with --licence.")
        folder = Path(work) / "texts"
        folder.mkdir()
        documents = sum(
            _rewrite(path, folder / name.replace("/", "-"), columns, chosen) for name, path in fetched.files
        )
        shutil.move(folder, target)
    return Added(target, fetched.commit, chosen, documents)


def _rewrite(path: Path, to: Path, columns: Columns, licence: str) -> int:
    """The columns that a build reads, a row group at a time; the number of rows."""
    file = pq.ParquetFile(path)
    names = {"text": columns.text, "id": columns.id, "title": columns.title}
    wanted = {ours: theirs for ours, theirs in names.items() if theirs}
    if missing := [theirs for theirs in wanted.values() if theirs not in file.schema_arrow.names]:
        raise BadDataset(f"{path.name} has no column {missing[0]!r}: {', '.join(file.schema_arrow.names)}.")
    schema = pa.schema([*((ours, pa.large_string()) for ours in wanted), ("licence", pa.large_string())])
    with pq.ParquetWriter(to, schema) as writer:
        for batch in file.iter_batches(columns=[*wanted.values()]):
            arrays = [batch.column(theirs).cast(pa.large_string()) for theirs in wanted.values()]
            licences = pa.array([licence] * batch.num_rows, pa.large_string())
            writer.write_table(pa.Table.from_arrays([*arrays, licences], schema=schema))
    return int(file.metadata.num_rows)
