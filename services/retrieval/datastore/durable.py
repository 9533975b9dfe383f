"""Files that are on disk, and not only in the system's memory, when a call returns."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, whole, even after power was lost."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def publish(folder: Path, place: Path) -> None:
    """Move a finished folder to a place where there is none: after power was lost it is there whole or not at all."""
    for path in folder.iterdir():
        sync(path)
    sync(folder)
    folder.rename(place)
    sync(place.parent)


def sync(path: Path) -> None:
    """Have a file or folder on disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
