"""Which files an owner has put into the folder of texts, and what is done with them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.retrieval.datastore.documents import Broken
from services.retrieval.datastore.ingest.readers import READERS
from services.retrieval.datastore.ingest.readers.base import File, Origin
from shared.owners import Owner


@dataclass(frozen=True)
class Source:
    """The files that make one segment: those of texts/OWNER that share a name but for the suffix, or a folder's.

    `clean`: whether the rules for duplicates and web pages hold for all of it; None: by the kind of each file.
    """

    origin: Origin
    files: tuple[File, ...]
    clean: bool | None

    @property
    def name(self) -> str:
        """OWNER/SOURCE."""
        return f"{self.origin.owner}/{self.origin.source}"

    def deduplicated(self, file: File) -> bool:
        """Whether a document of this file is left out when it is another's duplicate."""
        return READERS[file.path.suffix.lower()].clean if self.clean is None else self.clean

    def web(self, file: File) -> bool:
        """Whether a document of this file must pass the rules for web pages."""
        return READERS[file.path.suffix.lower()].web if self.clean is None else self.clean

    def digest(self) -> str:
        """A hash of the files, of where they lie and of how they are treated."""
        whole = hashlib.sha256(f"{self.origin} {self.clean}".encode())
        for file in self.files:
            with file.path.open("rb") as stream:
                whole.update(f"\n{file.key} {hashlib.file_digest(stream, 'sha256').hexdigest()}".encode())
        return whole.hexdigest()


def sources(home: Path, owner: Owner) -> tuple[list[Source], list[Broken]]:
    """An owner's sources in order of name, and the files that are of no kind that can be read."""
    folder = home / "texts" / owner.id
    files: dict[str, list[File]] = defaultdict(list)
    broken = []
    for path in _files(folder):
        key = path.relative_to(folder)
        name = f"{owner.id}/{key.as_posix()}"
        if path.suffix.lower() not in READERS:
            broken.append(Broken(name, "", f"not of a kind that can be read ({', '.join(READERS)})"))
        elif len(key.parts) == 1:
            files[path.stem].append(File(path, name, key.name))
        else:
            files[key.parts[0]].append(File(path, name, Path(*key.parts[1:]).as_posix()))
    registered = {source.name: source for source in owner.sources}
    found = []
    for name in sorted(files):
        said = registered.get(name)
        origin = Origin(owner.id, name, said.licence if said else owner.licence)
        found.append(Source(origin, tuple(files[name]), said.clean if said else None))
    return found, broken


def _files(folder: Path) -> Iterator[Path]:
    """All files in a fixed order but hidden ones, and those in hidden folders."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path
