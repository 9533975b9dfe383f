"""The embedded model is built once, and again when an expert changes."""

import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.model.flexolmo import build
from services.model.flexolmo.build import ensure_merged
from services.model.flexolmo.merge import merge
from tests.unit.flexolmo.making import make_expert


def test_the_model_is_built_once_and_again_when_its_experts_change(anchor: Path, tmp_path: Path) -> None:
    home, experts = tmp_path / "home", tmp_path / "experts"
    shutil.copytree(anchor, home / "models" / "smollm2-135m-instruct")

    def ids() -> list[str]:
        card = json.loads((ensure_merged(home, experts) / "candor.json").read_text())
        return [expert["id"] for expert in card["experts"]]

    assert ids() == ["public"]
    for seed, owner in enumerate(("medicine", "papers")):
        make_expert(anchor, owner, experts / f"{owner}.safetensors", seed)
    assert ids() == ["public", "papers", "medicine"]
    built = (home / "models" / "candor-135m" / "model.safetensors").stat().st_mtime_ns
    assert ids() == ["public", "papers", "medicine"]
    assert (home / "models" / "candor-135m" / "model.safetensors").stat().st_mtime_ns == built
    (experts / "papers.safetensors").unlink()
    assert ids() == ["public", "medicine"]


def test_those_who_come_while_it_is_built_wait_and_build_nothing(
    anchor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, builds = tmp_path / "home", list[Path]()
    shutil.copytree(anchor, home / "models" / "smollm2-135m-instruct")

    def slowly(anchor: Path, files: Sequence[Path], out: Path) -> Path:
        builds.append(out)
        time.sleep(0.3)
        return merge(anchor, files, out)

    monkeypatch.setattr(build, "merge", slowly)
    with ThreadPoolExecutor() as pool:
        folders = list(pool.map(lambda _: ensure_merged(home, tmp_path / "none"), range(3)))
    assert builds == [folders[0]]
    assert all((folder / "model.safetensors").is_file() for folder in folders)


def test_what_a_killed_build_left_is_cleared_and_a_failed_one_leaves_nothing(
    anchor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    shutil.copytree(anchor, models / "smollm2-135m-instruct")
    (models / "candor-135m.0a1b.part").mkdir()

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no space")

    with monkeypatch.context() as full_disk:
        full_disk.setattr("services.model.flexolmo.merge.save_file", refuse)
        with pytest.raises(OSError, match="no space"):
            ensure_merged(tmp_path, tmp_path / "none")
    assert {path.name for path in models.iterdir()} == {"smollm2-135m-instruct", ".candor-135m.lock"}
    assert (ensure_merged(tmp_path, tmp_path / "none") / "model.safetensors").is_file()


def test_where_it_is_built_nothing_is_written(anchor: Path, tmp_path: Path) -> None:
    shutil.copytree(anchor, tmp_path / "models" / "smollm2-135m-instruct")
    built = ensure_merged(tmp_path, tmp_path / "none")
    lock = built.with_name(".candor-135m.lock")
    lock.unlink()
    assert ensure_merged(tmp_path, tmp_path / "none") == built
    assert not lock.exists()


def test_without_the_dense_model_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="candor data pull"):
        ensure_merged(tmp_path)
