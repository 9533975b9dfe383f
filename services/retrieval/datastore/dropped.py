"""Owners who were dropped: from the moment that is recorded their files count for nothing, and here they go."""

from __future__ import annotations

from collections.abc import Collection
from math import inf
from pathlib import Path

from services.retrieval.datastore import deletions
from services.retrieval.datastore.added import Span
from services.retrieval.datastore.generation import changing
from services.retrieval.datastore.work import UNFINISHED
from shared.builder import BuildRunning, only_builder
from shared.durable import discard, retire

LEFT_OUT = (
    "the owner was deleted from the datastore, so the texts are left out; `candor data build --restore {owner}` takes "
    "them in again"
)


class NotDropped(Exception):
    """An owner cannot be restored, since no one dropped it."""


def restore(datastore: Path, owners: Collection[str]) -> None:
    """Have builds take in the texts of dropped owners again. Raises NotDropped, and does nothing then."""
    there = deletions.read(datastore).dropped
    if unknown := [owner for owner in owners if owner not in there]:
        known = ", ".join(there) or "none"
        raise NotDropped(f"{unknown[0]} was not deleted, so it cannot be restored. Owners who were: {known}.")
    if owners:
        with changing(datastore):
            gone = _retired(datastore, unfinished=True)  # else their files would count again
            deleted = deletions.read(datastore)
            for owner in owners:
                deleted = deleted.restored(owner)
            deleted.write(datastore)
        for folder in gone:
            discard(folder)


def remove_files(datastore: Path) -> None:
    """Remove all files of dropped owners, but for what they have added since, and the work of a build that runs: which
    does that itself."""
    try:
        with only_builder(datastore):
            clear(datastore, unfinished=True)
    except BuildRunning:
        clear(datastore, unfinished=False)


def clear(datastore: Path, *, unfinished: bool) -> None:
    """Remove the segments of dropped owners, and, if asked to, the unfinished work of builds."""
    if not _due(datastore, unfinished=unfinished):
        return
    with changing(datastore):
        gone = _retired(datastore, unfinished=unfinished)
    for folder in gone:
        discard(folder)


def _retired(datastore: Path, *, unfinished: bool) -> list[Path]:
    return [retire(folder, datastore) for folder in _due(datastore, unfinished=unfinished)]


def _due(datastore: Path, *, unfinished: bool) -> list[Path]:
    """The folder of each owner who has nothing that counts; of the others, the folders that do not."""
    found = []
    for owner, floor in deletions.read(datastore).dropped.items():
        folder = datastore / owner
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        gone = [place for place in inside if place.is_dir() and _number(place, unfinished=unfinished) <= floor]
        found.extend([folder] if folder.is_dir() and not {*inside}.difference(gone) else gone)
    return found


def _number(place: Path, *, unfinished: bool) -> float:
    """The last change of the owner that a folder is of."""
    if place.name.startswith(UNFINISHED) and not unfinished:
        return inf
    span = Span.parse(place.name)
    return span.last if span else 0
