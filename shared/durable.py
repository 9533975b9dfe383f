"""Files that are on disk, and not only in the system's memory, when a call returns."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from uuid import uuid4

from shared.exchange import exchange

_GONE = ".removed-"


def replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, whole, even after power was lost."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def settle(folder: Path) -> None:
    """Have a folder's files on disk: what takes long of publishing it, and can be done before."""
    for path in folder.iterdir():
        sync(path)
    sync(folder)


def publish(finished: Path, place: Path) -> None:
    """Put a folder that is settled in its place. What was there before is then where it was: at no moment is there
    none, and after power was lost there is one of them, whole."""
    if place.exists():
        exchange(finished, place)
    else:
        finished.rename(place)
    sync(place.parent)


def retire(folder: Path, datastore: Path) -> Path:
    """Take a folder out of sight at once, to the top of its datastore; where it is now, for `discard`."""
    gone = datastore / f"{_GONE}{uuid4().hex}"
    folder.rename(gone)
    sync(folder.parent)
    return gone


def discard(folder: Path) -> None:
    """Remove a folder that nobody looks at, and that others may be removing too."""
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue


def retired(datastore: Path) -> list[Path]:
    """What was taken out of sight and is still there."""
    return [*datastore.glob(f"{_GONE}*")]


def discard_retired(datastore: Path) -> None:
    """Remove what was taken out of sight, also by processes that were killed before they had removed it."""
    for folder in retired(datastore):
        discard(folder)


def sync(path: Path) -> None:
    """Have a file or folder on disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
