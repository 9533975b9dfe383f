"""Whether a datastore's second encoder can be used."""

from pathlib import Path
from typing import Any

import pytest

from services.retrieval.datastore.manifest import EncoderStamp
from services.retrieval.second import SecondEncoders


@pytest.mark.parametrize("config", ["{", "{}", "[]"])
def test_a_second_encoder_whose_files_are_damaged_is_not_usable(tmp_path: Path, config: str) -> None:
    folder = tmp_path / "models" / "second"
    (folder / "1_Pooling").mkdir(parents=True)
    for name in ("config.json", "1_Pooling/config.json"):
        (folder / name).write_text(config)
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).write_text("{}")
    assert not SecondEncoders(tmp_path, 1).usable(EncoderStamp(name="second", revision="1", dimension=16))


def test_one_of_another_revision_is_hashed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read: list[object] = []
    opened = Path.open

    def noted(path: Path, *how: Any, **more: Any) -> Any:
        read.append(path)
        return opened(path, *how, **more)

    monkeypatch.setattr(Path, "open", noted)
    second = SecondEncoders(tmp_path, 1)
    other = EncoderStamp(name="wordllama", revision="another", dimension=256)
    assert not second.usable(other)
    assert read
    read.clear()
    assert not second.usable(other)
    assert not read
