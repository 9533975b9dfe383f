"""`candor expert` and `candor model` on the pulled data and the committed experts."""

from pathlib import Path

from services.model.flexolmo.recipe import EXPERTS
from tests.unit.cli.test_commands import candor


def test_a_committed_expert_is_whole_and_of_this_model(candor_home: Path) -> None:
    done = candor("expert", "verify", str(EXPERTS / "medicine.safetensors"), home=candor_home)
    assert done.returncode == 0, done.stderr
    assert "whole, and trained on this model" in done.stdout
    assert "owner medicine" in done.stdout


def test_a_damaged_expert_is_refused(candor_home: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes((EXPERTS / "medicine.safetensors").read_bytes()[:-1000])
    done = candor("expert", "verify", str(damaged), home=candor_home)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(damaged) in done.stderr


def test_an_owner_without_text_cannot_be_trained(candor_home: Path) -> None:
    done = candor("expert", "train", "nobody", home=candor_home)
    assert done.returncode == 1
    assert "There is no text of 'nobody'" in done.stderr
    assert "medicine" in done.stderr


def test_files_are_merged_only_into_a_named_folder(candor_home: Path) -> None:
    done = candor("model", "merge", str(EXPERTS / "medicine.safetensors"), home=candor_home)
    assert done.returncode == 1
    assert "--out" in done.stderr


def test_a_router_is_tuned_only_for_named_files(candor_home: Path) -> None:
    done = candor("model", "merge", "--tune-router", home=candor_home)
    assert done.returncode == 1
    assert "--tune-router goes with files" in done.stderr
