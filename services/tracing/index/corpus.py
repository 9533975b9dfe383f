"""A corpus: the segments of one owner's text, published and opened as one."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from services.tracing.index.segment import Segment
from services.tracing.index.stored import FORMAT, write_durably

ABANDONED_SECONDS = 3600
"""A folder that no corpus names and nobody has touched for this long is what a killed build left behind."""


class CorpusManifest(BaseModel):
    """`corpus.json`: whose text it is, made of what, and the segments in force, oldest first.

    `input` is the SHA-256 of everything the build read; `skipped` counts documents that could not be indexed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str = FORMAT
    id: str
    owner: str
    public: bool
    licence: str
    tokenizer: str
    input: str
    skipped: int
    segments: list[str]


@dataclass(frozen=True)
class Corpus:
    """An open corpus."""

    manifest: CorpusManifest
    segments: Sequence[Segment]

    @property
    def id(self) -> str:
        """The corpus's id: the name of its folder."""
        return self.manifest.id

    @property
    def owner(self) -> str:
        """Whose text it is."""
        return self.manifest.owner


def read_manifest(folder: Path) -> CorpusManifest | None:
    """The manifest of a corpus's folder; None when there is none that can be read."""
    try:
        manifest = CorpusManifest.model_validate_json((folder / "corpus.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return manifest if manifest.id == folder.name else None


def publish(folder: Path, manifest: CorpusManifest) -> None:
    """Put the segments of a manifest in force, at once and whole; then remove what no build needs any more."""
    folder.mkdir(parents=True, exist_ok=True)
    replaced = read_manifest(folder)
    draft = folder / f".corpus-{os.getpid()}.json"
    write_durably(draft, manifest.model_dump_json(indent=2).encode("utf-8"))
    draft.replace(folder / "corpus.json")
    kept, known = set(manifest.segments), set(replaced.segments if replaced else ())
    for other in [path for path in folder.iterdir() if path.is_dir() and path.name not in kept]:
        if other.name in known or time.time() - other.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(other, ignore_errors=True)
