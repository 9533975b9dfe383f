"""One process at a time: a lock that the system frees when its holder dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(file: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file, which is made if need be and stays, and whose folder must exist.

    While another holds it, waits; or raises BlockingIOError if it is not to wait.
    """
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
