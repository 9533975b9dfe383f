"""The embedded model is built once, and again when an expert changes."""

import json
import shutil
from pathlib import Path

import pytest

from services.model.flexolmo.build import ensure_merged
from services.model.flexolmo.export import export
from services.model.flexolmo.train import Settings, train


def test_the_model_is_built_once_and_again_when_its_experts_change(
    anchor: Path, texts: Path, settings: Settings, tmp_path: Path
) -> None:
    home, experts = tmp_path / "home", tmp_path / "experts"
    shutil.copytree(anchor, home / "models" / "smollm2-135m-instruct")

    def ids() -> list[str]:
        card = json.loads((ensure_merged(home, experts) / "candor.json").read_text())
        return [expert["id"] for expert in card["experts"]]

    assert ids() == ["public"]
    for owner, text in (("medicine", "bakery"), ("papers", "harbour")):
        trained = train(
            owner,
            anchor=anchor,
            texts=texts / text,
            public=texts / "public",
            resume=tmp_path / owner,
            settings=settings,
        )
        export(trained, experts / f"{owner}.safetensors")
    assert ids() == ["public", "papers", "medicine"]
    built = (home / "models" / "candor-135m" / "model.safetensors").stat().st_mtime_ns
    assert ids() == ["public", "papers", "medicine"]
    assert (home / "models" / "candor-135m" / "model.safetensors").stat().st_mtime_ns == built
    (experts / "papers.safetensors").unlink()
    assert ids() == ["public", "medicine"]


def test_without_the_dense_model_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="candor data pull"):
        ensure_merged(tmp_path)
