"""Where a segment is prepared: a folder that nobody looks at, which belongs to a process for as long as it lives."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from shared.durable import discard

_ADDING = ".adding-"


@contextmanager
def workspace(datastore: Path) -> Iterator[Path]:
    """A new folder, which is gone afterwards; `sweep` removes it if the process is killed."""
    descriptor, folder = _held(datastore)
    try:
        yield folder
    finally:
        discard(folder)
        os.close(descriptor)


def sweep(datastore: Path) -> None:
    """Remove the folders of processes that have died."""
    for folder in datastore.glob(f"{_ADDING}*"):
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            discard(folder)
        except BlockingIOError:
            continue  # its process lives
        finally:
            os.close(descriptor)


def _held(datastore: Path) -> tuple[int, Path]:
    """A folder and the descriptor whose lock says that its process lives."""
    while True:
        folder = datastore / f"{_ADDING}{uuid4().hex}"
        folder.mkdir()
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue  # swept before it could be locked
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if folder.exists():
            return descriptor, folder
        os.close(descriptor)
