"""A product: files in the data folder that are made whole or not at all, and made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.data.archives import Archive, Fetch, digest
from gateway.data.manifest import Manifest, Package, PulledFile, Source

_ASIDE = ".making"


@dataclass(frozen=True)
class Product:
    """What is made of one source.

    `build(fetch, folder)` writes the files below the folder as they shall lie below the data folder, and returns
    counts of what is in them. Whoever changes what it writes raises `recipe`, and the next pull makes it anew.
    """

    name: str
    owner: str | None
    licence: str
    origin: str
    package: Package
    build: Callable[[Fetch, Path], dict[str, int]]
    url: str | None = None
    note: str | None = None
    recipe: int = 1

    def is_finished(self, home: Path, manifest: Manifest) -> bool:
        """Whether it was made of the same package by the same recipe, and its files are there in full."""
        record = manifest.find(self.name)
        return (
            record is not None
            and record.model_copy(update={"files": [], "counts": {}}) == self._record([], {})
            and all(_has(home / file.path, file.bytes) for file in record.files)
        )

    def make(self, home: Path, fetch: Fetch) -> Source:
        """Build it aside, move it into its place and return its record."""
        aside = home / _ASIDE / self.name
        shutil.rmtree(aside, ignore_errors=True)
        try:
            aside.mkdir(parents=True)
            counts = self.build(fetch, aside)
            files = [_describe(file, aside) for file in sorted(aside.rglob("*")) if file.is_file()]
            for file in files:
                _move(aside / file.path, home / file.path)
        finally:
            shutil.rmtree(home / _ASIDE, ignore_errors=True)
        return self._record(files, counts)

    def _record(self, files: list[PulledFile], counts: dict[str, int]) -> Source:
        return Source(
            name=self.name,
            owner=self.owner,
            licence=self.licence,
            origin=self.origin,
            url=self.url,
            note=self.note,
            package=self.package,
            recipe=self.recipe,
            files=files,
            counts=counts,
        )


def from_archive(archive: Archive) -> Package:
    """How the manifest names a wheel."""
    return Package(name=archive.name, version=archive.version, sha256=archive.sha256)


def _move(made: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    # Some writers make files for their user alone; services may run as another.
    made.chmod(0o644)
    os.replace(made, place)


def _has(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size


def _describe(file: Path, root: Path) -> PulledFile:
    return PulledFile(path=file.relative_to(root).as_posix(), bytes=file.stat().st_size, sha256=digest(file))
