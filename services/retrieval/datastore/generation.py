"""How a process that has a datastore open learns that it has been changed, by itself or by another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from errno import EACCES, EROFS
from pathlib import Path
from uuid import uuid4

from services.retrieval.datastore.durable import replace
from shared.lock import locked

RECORD = "deletions.json"
"""The file that says what was deleted (`deletions`). A generation says whether there was one, so that a loss shows."""

_FILE = ".generation"
_LOCK = ".publish"
_RECORDED = b" deletions"


class Changed(Exception):
    """The datastore is not the one any more that a change was prepared for."""


@contextmanager
def changing(folder: Path, *, prepared_for: bytes | None = None) -> Iterator[None]:
    """Hold the datastore's folder for a change; on leaving, also by an exception, it is another generation.

    For the short time of putting finished things in their places: whoever opens the datastore waits. Raises Changed if
    the change was prepared for a generation that is over.
    """
    with locked(folder / _LOCK):
        if prepared_for is not None and generation(folder) != prepared_for:
            raise Changed
        try:
            yield
        finally:
            known = (folder / RECORD).exists() or recorded(folder)
            replace(folder / _FILE, uuid4().hex.encode() + (_RECORDED if known else b""))


@contextmanager
def unchanging(folder: Path) -> Iterator[bytes]:
    """Hold the datastore's folder as it is; its generation. A folder that cannot be written to is not held."""
    with ExitStack() as held:
        try:
            held.enter_context(locked(folder / _LOCK))
        except OSError as error:
            if error.errno not in (EROFS, EACCES):
                raise
        yield generation(folder)


def generation(folder: Path) -> bytes:
    """Something that differs before and after each change, and costs reading one short file."""
    try:
        return (folder / _FILE).read_bytes()
    except FileNotFoundError:
        return b""


def recorded(folder: Path) -> bool:
    """Whether there was a record of deletions when the datastore was last changed."""
    return generation(folder).endswith(_RECORDED)
