"""The committed experts are whole, alike in budget, and of the model and text that `candor data pull` brings."""

import hashlib
from pathlib import Path

import pytest

from services.model.flexolmo.anchor import fingerprint
from services.model.flexolmo.corpus import data_hash, read_documents
from services.model.flexolmo.expert import read_expert
from services.model.flexolmo.merge import merge
from services.model.flexolmo.recipe import EXPERTS, OWNERS, anchor_folder
from services.model.flexolmo.verify import check_anchor

MERGED = "24d3e71244955e7adb62d73782d8f641f258d66fba12e18e5a122fc865687739"
"""SHA-256 of the weights that docs/experts.md speaks of, as the code merged them that measured them."""


def test_every_owner_has_an_expert_of_the_same_budget_in_under_ten_megabytes() -> None:
    files = [EXPERTS / f"{owner}.safetensors" for owner in OWNERS]
    experts = [read_expert(file) for file in files]
    assert [expert.owner for expert in experts] == list(OWNERS)
    assert all(expert.card["settings"] == experts[0].card["settings"] for expert in experts)
    assert sum(file.stat().st_size for file in files) < 10e6


def test_the_committed_experts_are_of_the_pulled_model(candor_home: Path) -> None:
    anchor = fingerprint(anchor_folder(candor_home))
    for owner in OWNERS:
        check_anchor(read_expert(EXPERTS / f"{owner}.safetensors"), anchor)


def test_the_committed_experts_merge_to_the_very_bytes_that_were_measured(candor_home: Path, tmp_path: Path) -> None:
    files = [EXPERTS / f"{owner}.safetensors" for owner in ("papers", "medicine", "python")]
    weights = merge(anchor_folder(candor_home), files, tmp_path / "merged") / "model.safetensors"
    with weights.open("rb") as stored:
        assert hashlib.file_digest(stored, "sha256").hexdigest() == MERGED
    weights.unlink()


# not python's: its text is the interpreter's own, which another build of Python has otherwise
@pytest.mark.parametrize("owner", ["papers", "medicine"])
def test_a_committed_expert_was_trained_on_the_training_split_of_its_owner(candor_home: Path, owner: str) -> None:
    expert = read_expert(EXPERTS / f"{owner}.safetensors")
    documents = read_documents(candor_home / "texts" / owner, "train")
    assert expert.card["data_sha256"] == data_hash(documents)
    assert set(expert.licence.split(" AND ")) == {document.licence for document in documents}
