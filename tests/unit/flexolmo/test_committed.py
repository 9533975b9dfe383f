"""The committed experts are whole, alike in budget, and of the model and text that `candor data pull` brings."""

from pathlib import Path

import pytest

from services.model.flexolmo.anchor import fingerprint
from services.model.flexolmo.corpus import data_hash, read_documents
from services.model.flexolmo.expert import check_anchor, read_expert
from services.model.flexolmo.recipe import EXPERTS, OWNERS, anchor_folder


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


@pytest.mark.parametrize("owner", OWNERS)
def test_a_committed_expert_was_trained_on_the_training_split_of_its_owner(candor_home: Path, owner: str) -> None:
    expert = read_expert(EXPERTS / f"{owner}.safetensors")
    documents = read_documents(candor_home / "texts" / owner, "train")
    assert expert.card["data_sha256"] == data_hash(documents)
    assert set(expert.licence.split(" AND ")) == {document.licence for document in documents}
