"""The folder of experts that joined and left: a change that fails has changed nothing."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from services.model.folder import ExpertFolder, Unsettled

Break = Callable[[int], None]


@pytest.fixture
def folder(tmp_path: Path) -> ExpertFolder:
    return ExpertFolder(tmp_path)


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Let so many of the next writes of a folder fail."""
    sync = os.fsync

    def after(failures: int) -> None:
        left = [failures]

        def fsync(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode) and left[0]:
                left[0] -= 1
                raise OSError(errno.EIO, "Input/output error")
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)

    return after


def keep(folder: ExpertFolder, content: bytes) -> None:
    with folder.upload() as file:
        file.write(content)
        file.flush()
        folder.keep(Path(file.name), "park")


def state(folder: ExpertFolder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.path.iterdir()}


NOTHING: dict[str, bytes] = {}
JOINED, LEFT = {"park.safetensors": b"old"}, {"park.removed": b""}


@pytest.mark.parametrize("before", [NOTHING, JOINED, LEFT, JOINED | LEFT], ids=["nothing", "joined", "left", "both"])
def test_a_change_that_could_not_be_kept_has_changed_nothing(
    folder: ExpertFolder, breaks: Break, before: dict[str, bytes]
) -> None:
    for name, content in before.items():
        (folder.path / name).write_bytes(content)
    breaks(1)
    with pytest.raises(OSError, match="Input/output"):
        keep(folder, b"new")
    assert state(folder) == before
    breaks(1)
    with pytest.raises(OSError, match="Input/output"):
        folder.strike("park")
    assert state(folder) == before
    keep(folder, b"new")
    assert state(folder) == {"park.safetensors": b"new"}


def test_a_change_that_could_not_be_undone_for_sure_is_not_said_to_have_changed_nothing(
    folder: ExpertFolder, breaks: Break
) -> None:
    breaks(2)
    with pytest.raises(Unsettled, match="nor be put back"):
        keep(folder, b"new")
    breaks(2)
    with pytest.raises(Unsettled, match="nor be put back"):
        folder.strike("park")


def test_an_owner_has_left_even_when_its_file_cannot_be_deleted(
    folder: ExpertFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(folder, b"old")

    def unlink(path: Path, **_: bool) -> None:
        raise OSError(errno.EPERM, f"{path} may not be deleted")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        folder.strike("park")
    assert folder.joined() == {}
    folder.tidy()
    assert state(folder) == LEFT
