"""sources.json: what was pulled, from where, under which licence, and which files it became."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

FILE_NAME = "sources.json"


class PulledFile(BaseModel):
    """A file in the data folder, as it was written."""

    path: str
    bytes: int
    sha256: str


class Package(BaseModel):
    """What a source was taken from: a wheel and its hash, or the running Python."""

    name: str
    version: str
    sha256: str | None = None


class Source(BaseModel):
    """A model or a text of an owner: origin, licence, and the files it became. `owner` is null for models."""

    name: str
    owner: str | None
    licence: str
    origin: str
    url: str | None = None
    note: str | None = None
    package: Package
    recipe: int
    files: list[PulledFile]
    counts: dict[str, int]


class Manifest(BaseModel):
    """All sources that were pulled completely."""

    sources: list[Source] = []

    def find(self, name: str) -> Source | None:
        """The record of a source, if it was pulled."""
        return next((source for source in self.sources if source.name == name), None)

    def with_source(self, source: Source) -> Manifest:
        """A manifest with this record in the place of an older one."""
        others = [other for other in self.sources if other.name != source.name]
        return Manifest(sources=sorted([*others, source], key=lambda s: (s.owner or "", s.name)))


def read(home: Path) -> Manifest:
    """The manifest of a data folder; empty if there is none or it cannot be read: everything is then made anew."""
    try:
        return Manifest.model_validate_json((home / FILE_NAME).read_bytes())
    except (FileNotFoundError, ValidationError):
        return Manifest()


def write(home: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step."""
    draft = home / f".{FILE_NAME}.tmp"
    draft.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    draft.replace(home / FILE_NAME)
