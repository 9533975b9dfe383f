"""How a process that has a datastore open learns that it has been changed, by itself or by another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from errno import EACCES, EROFS
from pathlib import Path
from uuid import uuid4

from services.retrieval.datastore.durable import replace
from shared.lock import locked

_FILE = ".generation"
_LOCK = ".publish"


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Hold the datastore's folder for a change; on leaving, also by an exception, it is another generation.

    For the short time of putting finished things in their places: whoever opens the datastore waits.
    """
    with locked(folder / _LOCK):
        try:
            yield
        finally:
            replace(folder / _FILE, uuid4().hex.encode())


@contextmanager
def unchanging(folder: Path) -> Iterator[object]:
    """Hold the datastore's folder as it is; its generation. A folder that cannot be written to is not held."""
    with ExitStack() as held:
        try:
            held.enter_context(locked(folder / _LOCK))
        except OSError as error:
            if error.errno not in (EROFS, EACCES):
                raise
        yield generation(folder)


def generation(folder: Path) -> object:
    """Something that differs before and after each change, and costs reading one short file."""
    try:
        return (folder / _FILE).read_bytes()
    except FileNotFoundError:
        return None
