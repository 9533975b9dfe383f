"""How a process that has a datastore open learns that it has been changed, by itself or by another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from errno import EACCES, EROFS
from pathlib import Path
from uuid import uuid4

from shared.durable import replace
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
    """Hold the datastore's folder for a change; it is another generation from the beginning, so that another process
    opens it anew also if this one is killed, and once more on leaving, also by an exception.

    For the short time of putting finished things in their places: whoever opens the datastore waits. Raises Changed if
    the change was prepared for a generation that is over.
    """
    with locked(folder / _LOCK):
        if prepared_for is not None and generation(folder) != prepared_for:
            raise Changed
        _renew(folder)
        try:
            yield
        finally:
            _renew(folder)


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


def unmarked(folder: Path) -> bool:
    """Whether a process was killed between the first record of deletions and the generation that says there is one."""
    return (folder / RECORD).exists() and not recorded(folder)


def _renew(folder: Path) -> None:
    known = (folder / RECORD).exists() or recorded(folder)
    replace(folder / _FILE, uuid4().hex.encode() + (_RECORDED if known else b""))
