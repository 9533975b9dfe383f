"""One builder at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BuildRunning(Exception):
    """Another process is building the same datastore."""


@contextmanager
def only_builder(folder: Path) -> Iterator[None]:
    """Hold the folder's build lock, which the system frees when the process dies. Raises BuildRunning."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BuildRunning(f"Another process is building {folder}: wait until it is done.") from error
        yield
