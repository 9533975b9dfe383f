"""Data sets of a Hugging Face hub, by name: the Parquet files of a split, at a commit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from httpx2 import HTTPError
from huggingface_hub import DatasetInfo, HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

_CONVERTED = "refs/convert/parquet"
_name = re.compile(r"hub:(?P<name>[\w.-]+(/[\w.-]+)?)(:(?P<config>[^@:]+))?(@(?P<revision>.+))?")


class BadDataset(Exception):
    """A data set cannot be had; the message says why and what to do."""


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
        """The name of its folder here."""
        return "-".join([self.name.replace("/", "-"), *([self.config] if self.config else [])])


@dataclass(frozen=True)
class Fetched:
    """The files of a split with their names on the hub, and the licence that the card names."""

    files: Sequence[tuple[str, Path]]
    commit: str
    licence: str | None


def fetch(wanted: Name, split: str, into: Path, endpoint: str | None = None) -> Fetched:
    """Download the split's Parquet files to the folder `into`. Raises BadDataset."""
    hub = HfApi(endpoint=endpoint)
    try:
        info = hub.dataset_info(wanted.name, revision=wanted.revision)
        names = _files([file.rfilename for file in info.siblings or []], wanted, split)
        files = [
            (name, Path(hub.hf_hub_download(wanted.name, name, repo_type="dataset", revision=info.sha, local_dir=into)))
            for name in names
        ]
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise BadDataset(f"The hub has no data set {wanted.name} at {wanted.revision or 'main'}.") from error
    except (HTTPError, OSError) as error:
        raise BadDataset(f"The hub at {hub.endpoint} cannot be read (set HF_ENDPOINT for another): {error}") from error
    return Fetched(files, info.sha or "", _licence(info))


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
