"""One builder at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shared.lock import locked


class BuildRunning(Exception):
    """Another process is building the same."""


@contextmanager
def only_builder(folder: Path, file: str = ".lock") -> Iterator[None]:
    """Hold the folder's build lock, which the system frees when the process dies. Raises BuildRunning."""
    with ExitStack() as held:
        try:
            held.enter_context(locked(folder / file, wait=False))
        except BlockingIOError as error:
            raise BuildRunning(f"Another process is building {folder}: wait until it is done.") from error
        yield
