"""The committed adapter is small, of the pulled model, and made by the command that the page names."""

from dataclasses import asdict
from pathlib import Path

from services.model.flexolmo.recipe import anchor_folder
from services.model.thinking.adapter import read
from services.model.thinking.build import ADAPTER
from services.model.thinking.train import Settings


def test_the_committed_adapter_is_small_of_the_pulled_model_and_of_the_default_settings(candor_home: Path) -> None:
    adapter = read(ADAPTER, anchor_folder(candor_home))
    assert adapter.card["settings"] == asdict(Settings())
    assert ADAPTER.stat().st_size < 6e6
