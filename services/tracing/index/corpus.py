"""A corpus: the segments of one owner's text, and what was changed of them. `corpus.json` is its only commit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from services.tracing.index import log
from services.tracing.index.log import BadCorpus, Head
from services.tracing.index.segment import Segment
from services.tracing.index.stored import FORMAT
from shared.builder import BuildRunning, only_builder
from shared.durable import discard, replace
from shared.lock import locked

FILE = "corpus.json"
ABANDONED_SECONDS = 3600
"""A built segment that no corpus names and nobody has touched for this long is what a killed build left behind."""
BLOCKS = "blocks"
"""Where a build keeps what is to be merged; and the lock of who builds."""
BUILDING = ".building"
WRITTEN = "written-"
"""How the names of segments begin that the service wrote, and that come into being under the corpus's lock."""


class Added(BaseModel):
    """A segment that the service wrote: documents that stand over all in segments of lower numbers.

    `number` is that of the last change whose documents it has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    number: int


class CorpusManifest(BaseModel):
    """`corpus.json`: whose text it is, made of what, and the segments in force.

    `segments` were built of files, of which `input` is the SHA-256; `skipped` counts documents in them that could not
    be indexed. They count as change 0. `added` came after, the oldest first. `changes` is the number of the last
    change, and `log` says which documents each was of. By the change `floor` all was deleted; `dropped` while no build
    has been told to take the owner's files in again. `retired` segments are out of force, their files to be removed.
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
    added: list[Added] = []
    changes: int = 0
    log: Head = Head()
    floor: int = 0
    dropped: bool = False
    retired: list[str] = []

    @property
    def numbers(self) -> dict[str, int]:
        """The last change of every segment in force, by name."""
        return {**dict.fromkeys(self.segments, 0), **{segment.name: segment.number for segment in self.added}}


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
    """The manifest of a corpus's folder; None when there is none that can be read, and nothing that it must say.

    Raises BadCorpus if something was changed and it is not known what.
    """
    try:
        return parse_manifest(folder, (folder / FILE).read_bytes())
    except (OSError, BadCorpus) as error:
        if log.exists(folder):
            detail = f"no usable {FILE}, so that it is not known what was deleted: restore it from a copy"
            raise BadCorpus(detail) from error
        return None


def parse_manifest(folder: Path, content: bytes) -> CorpusManifest:
    """The manifest that `corpus.json` of this folder is. Raises BadCorpus."""
    try:
        manifest = CorpusManifest.model_validate_json(content)
    except ValidationError as error:
        raise BadCorpus(f"no usable {FILE}") from error
    if manifest.id != folder.name:
        raise BadCorpus(f"no usable {FILE}: it is of {manifest.id!r}")
    return manifest


def is_dropped(folder: Path) -> bool:
    """Whether a corpus was deleted, so that no build makes it until told to restore its owner. Raises BadCorpus."""
    manifest = read_manifest(folder)
    return manifest is not None and manifest.dropped


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Hold a corpus for a change: only for the short time of putting finished things in force."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        yield


def publish(folder: Path, manifest: CorpusManifest) -> None:
    """Put a manifest in force, at once and whole, and remove the segments that it puts out of force.

    The corpus must be held (`changing`). Killed in between, `clear` removes them.
    """
    before = read_manifest(folder)
    named = [*before.numbers, *before.retired] if before else []
    retired = [name for name in dict.fromkeys(named) if name not in manifest.numbers and (folder / name).exists()]
    replace(folder / FILE, manifest.model_copy(update={"retired": retired}).model_dump_json(indent=2).encode())
    for name in retired:
        discard(folder / name)


def publish_built(folder: Path, built: CorpusManifest, *, restoring: int | None = None) -> CorpusManifest:
    """Put in force what a build made of files, under what was added and deleted; the manifest then in force.

    If everything was deleted, and not just by the change `restoring` that the build was told to undo, what was built is
    removed again. Raises BadCorpus.
    """
    with changing(folder):
        present = read_manifest(folder)
        if present is not None:
            dropped = present.dropped and present.floor != restoring
            kept = {name: getattr(present, name) for name in ("added", "log", "floor")}
            kept |= {"changes": present.changes + 1, "dropped": dropped}
            if dropped:
                for name in built.segments:
                    discard(folder / name)
                kept |= {"segments": [], "input": ""}
            built = built.model_copy(update=kept)
        publish(folder, built)
        for path in folder.glob("segment-*"):
            if path.name not in built.numbers and time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                discard(path)
    return built


def clear(folder: Path) -> None:
    """Remove what killed processes left: segments out of force, and those the service wrote that never were in force.

    Of what was deleted as a whole, also what a build that was stopped keeps; one that still runs removes it itself.
    The corpus must be held. Raises BadCorpus.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return
    written = [path.name for path in folder.glob(f"{WRITTEN}*") if path.name not in manifest.numbers]
    for name in {*manifest.retired, *written} - manifest.numbers.keys():
        discard(folder / name)
    if manifest.dropped:
        with suppress(BuildRunning), only_builder(folder, BUILDING):
            discard(folder / BLOCKS)
