"""Data sets of a Hugging Face hub, by name: their Parquet files, put where the datastore is built from."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from httpx2 import HTTPError
from huggingface_hub import DatasetInfo, HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

_CONVERTED = "refs/convert/parquet"
_name = re.compile(r"hub:(?P<name>[\w.-]+(/[\w.-]+)?)(:(?P<config>[^@:]+))?(@(?P<revision>.+))?")


class BadDataset(Exception):
    """A data set cannot be added; the message says why and what to do."""


@dataclass(frozen=True)
class Name:
    """hub:NAME[:CONFIG][@REVISION]."""

    name: str
    config: str | None
    revision: str | None

    @classmethod
    def parse(cls, text: str) -> Name:
        """Raises BadDataset."""
        match = _name.fullmatch(text)
        if match is None:
            raise BadDataset(f"{text!r} is no data set: write hub:NAME, hub:NAME:CONFIG or hub:NAME:CONFIG@REVISION.")
        return cls(match["name"], match["config"], match["revision"])

    @property
    def source(self) -> str:
        """The name of its folder of texts."""
        return "-".join([self.name.replace("/", "-"), *([self.config] if self.config else [])])


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
    hub = HfApi(endpoint=endpoint)
    try:
        info = hub.dataset_info(wanted.name, revision=wanted.revision)
        chosen = licence or _licence(info)
        if chosen is None:
            raise BadDataset(f"The card of {wanted.name} names no licence: give one with --licence.")
        files = _files([file.rfilename for file in info.siblings or []], wanted, split)
        texts.mkdir(parents=True, exist_ok=True)
        # hidden, so that no build takes it for a source
        with tempfile.TemporaryDirectory(dir=texts, prefix=".hub-") as work:
            folder = Path(work) / "texts"
            folder.mkdir()
            documents = 0
            for file in files:
                path = hub.hf_hub_download(
                    wanted.name, file, repo_type="dataset", revision=info.sha, local_dir=Path(work) / "hub"
                )
                documents += _rewrite(Path(path), folder / file.replace("/", "-"), columns, chosen)
            shutil.move(folder, target)
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise BadDataset(f"The hub has no data set {wanted.name} at {wanted.revision or 'main'}.") from error
    except (HTTPError, OSError) as error:
        raise BadDataset(f"The hub at {hub.endpoint} cannot be read (set HF_ENDPOINT for another): {error}") from error
    return Added(target, info.sha or "", chosen, documents)


def _licence(info: DatasetInfo) -> str | None:
    named = info.card_data.get("license") if info.card_data else None
    found = ", ".join(named) if isinstance(named, list) else named
    return None if found in (None, "", "unknown") else str(found)


def _files(names: Sequence[str], wanted: Name, split: str) -> list[str]:
    """The split's Parquet files: SPLIT-00000-of-00002.parquet or SPLIT/0000.parquet, below the folder of its config."""
    parquet = sorted(name for name in names if name.endswith(".parquet"))
    if not parquet:
        raise BadDataset(f"{wanted.name} has no Parquet files: try hub:{wanted.name}@{_CONVERTED}.")
    of_split = [name for name in parquet if re.search(rf"(^|/){re.escape(split)}([-.][^/]*|/[^/]+)$", name)]
    if wanted.config:
        of_split = [name for name in of_split if wanted.config in name.split("/")[:-1]]
    if not of_split:
        raise BadDataset(f"{wanted.name} has no such split or config; its Parquet files: {', '.join(parquet[:20])}.")
    configs = sorted({name.rpartition("/")[0].removesuffix(f"/{split}") for name in of_split})
    if len(configs) > 1:
        raise BadDataset(f"{wanted.name} has several configs, name one as hub:{wanted.name}:CONFIG: {configs}.")
    return of_split


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
