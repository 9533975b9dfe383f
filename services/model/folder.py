"""The folder of what changed since the model was merged: OWNER.safetensors joined it, OWNER.removed left it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_JOINED, _LEFT, _PART = ".safetensors", ".removed", ".part"


class Unsettled(RuntimeError):
    """A change failed and could not be undone: what the folder says after a restart is not known."""


class ExpertFolder:
    """Changes of the experts that outlive the process. Every method may raise OSError, and then has changed nothing.

    An owner with both files has left: who withdrew a consent must not come back because a process was killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def joined(self) -> dict[str, Path]:
        """The files of the owners that joined and have not left, by owner."""
        owners = sorted(self._owners(_JOINED) - self.left())
        return {owner: self.path / f"{owner}{_JOINED}" for owner in owners}

    def left(self) -> set[str]:
        """The owners that left."""
        return self._owners(_LEFT)

    @contextmanager
    def upload(self) -> Iterator[IO[bytes]]:
        """A new file to write an upload to, which is deleted at the end unless it was kept."""
        self.path.mkdir(parents=True, exist_ok=True)
        part = self.path / f".{secrets.token_hex(8)}{_PART}"
        try:
            with part.open("wb") as file:
                yield file
        finally:
            part.unlink(missing_ok=True)

    def keep(self, upload: Path, owner: str) -> None:
        """From now on, and after a restart, this upload is the owner's expert. May raise Unsettled."""
        joined, left = self._files(owner)
        had, was_left = joined.exists(), left.exists()

        def undo() -> None:
            # at every moment the owner is rather out than in
            if was_left:
                left.touch()
            if had:
                os.replace(before, joined)
            else:
                joined.unlink(missing_ok=True)

        with upload.open("rb") as file:
            os.fsync(file.fileno())
        with self.upload() as spare:
            before = Path(spare.name)
            if had:
                # not a link, which not every file system has
                shutil.copyfile(joined, before)
            with self._or(undo):
                os.replace(upload, joined)
                left.unlink(missing_ok=True)
                self._sync()

    def strike(self, owner: str) -> None:
        """From now on, and after a restart, the owner has no expert. May raise Unsettled.

        The file it had here is deleted, when the service next starts at the latest.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        joined, left = self._files(owner)
        was_left = left.exists()
        with self._or(lambda: None if was_left else left.unlink(missing_ok=True)):
            left.touch()
            self._sync()
        # it has left by now, whatever becomes of the file
        with suppress(OSError):
            joined.unlink(missing_ok=True)
            self._sync()

    def tidy(self) -> None:
        """Delete what a killed process left behind."""
        for owner in self.left():
            (self.path / f"{owner}{_JOINED}").unlink(missing_ok=True)
        for part in self.path.glob(f".*{_PART}"):
            part.unlink(missing_ok=True)

    @contextmanager
    def _or(self, undo: Callable[[], None]) -> Iterator[None]:
        """Undo what was done inside if some of it failed. Raises Unsettled if that fails as well."""
        try:
            yield
        except OSError as error:
            try:
                undo()
                self._sync()
            except OSError:
                raise Unsettled(f"{self.path} could not be written ({error}), nor be put back as it was") from error
            raise

    def _files(self, owner: str) -> tuple[Path, Path]:
        return self.path / f"{owner}{_JOINED}", self.path / f"{owner}{_LEFT}"

    def _owners(self, ending: str) -> set[str]:
        try:
            # not glob, to which a folder that may not be read is an empty one
            names = os.listdir(self.path)
        except FileNotFoundError:
            return set()
        return {name.removesuffix(ending) for name in names if name.endswith(ending) and not name.startswith(".")}

    def _sync(self) -> None:
        """A file that was made, renamed or deleted is so after a power failure only once its folder is written."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
