"""Making the vectors of an addition anew: its texts are in its segment and nowhere else."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from services.retrieval.compactds import ann
from services.retrieval.datastore import manifest
from services.retrieval.datastore.added import Span
from services.retrieval.datastore.generation import changing
from services.retrieval.datastore.manifest import COMPACTDS, INDEXES, BadSegment, FileStamp, Manifest
from services.retrieval.datastore.passages import Passages
from services.retrieval.datastore.segment import EXACT, VECTORS, written
from services.retrieval.datastore.vectors import Embedders
from services.retrieval.datastore.work import UNFINISHED
from services.retrieval.leann.codes import PREFIX
from shared.durable import discard, publish, retire, settle


def due(folder: Path, embedders: Embedders, indexes: Collection[str]) -> bool:
    """Whether a segment lacks vectors of these encoders, or has those of another."""
    try:
        present = manifest.parse(folder)
    except BadSegment:
        return False  # the service names it
    made = present.encoder, present.exact
    return made != (embedders.first.stamp, embedders.exact) or (
        COMPACTDS in indexes and COMPACTDS not in present.indexes
    )


def renew(folder: Path, embedders: Embedders) -> bool:
    """Put in an addition's place one of the same texts with vectors of these encoders: whether that was done.

    It is not if its files are damaged, or if it was merged or dropped meanwhile. A kill leaves the old one or the new.
    Its codes stay if they are of the same vectors; else the datastore's coding makes others.
    """
    target, span = folder.parent.parent, Span.parse(folder.name)
    if span is None:
        return False
    work = folder.with_name(f"{UNFINISHED}{folder.name}")
    finished = work / "segment"
    shutil.rmtree(finished, ignore_errors=True)
    place = folder.with_name(replace(span, version=span.version + 1).name)
    try:
        before, present = written(folder), manifest.load(folder)
        finished.mkdir(parents=True)
        stays = present.encoder == embedders.first.stamp
        for name in present.files:
            if name not in (VECTORS, EXACT, ann.FILE) and (stays or not name.startswith(PREFIX)):
                shutil.copyfile(folder / name, finished / name)
        passages = Passages(finished)
        embedders.write(finished, [passages.text(row) for row in range(len(passages))], [folder], work)
    except (BadSegment, FileNotFoundError):
        shutil.rmtree(work, ignore_errors=True)
        return False
    _about(present, place.name, embedders, manifest.stamp(finished), stays=stays).write(finished)
    settle(finished)
    with changing(target):
        same = folder.is_dir() and written(folder) == before
        if same:
            publish(finished, place)
            gone = retire(folder, target)
    if same:
        discard(gone)
    shutil.rmtree(work, ignore_errors=True)
    return same


def digest(files: Mapping[str, FileStamp]) -> str:
    """`inputs` of an addition's manifest."""
    return hashlib.sha256("".join(stamp.sha256 for stamp in files.values()).encode()).hexdigest()


def _about(present: Manifest, name: str, embedders: Embedders, files: dict[str, FileStamp], *, stays: bool) -> Manifest:
    return present.model_copy(
        update={
            "id": name,
            "encoder": embedders.first.stamp,
            "exact": embedders.exact,
            "indexes": list(INDEXES),
            "codebook": present.codebook if stays else None,
            "inputs": digest(files),
            "files": files,
        }
    )
