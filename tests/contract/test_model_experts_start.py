"""What an expert that is put started from: an expert of the anchor, and never one of another owner's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.model.flexolmo.merge import merge
from tests.contract.test_model_experts import names, put, scores, service
from tests.unit.flexolmo.conftest import make_anchor
from tests.unit.flexolmo.making import make_expert


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_anchor(tmp_path_factory.mktemp("anchor"), seed=0)


@pytest.mark.parametrize("form", ["factored", "fused"])
@pytest.mark.parametrize("rank", [4, None], ids=["low rank", "full"])
def test_an_expert_that_says_it_started_from_an_owner_s_is_refused_also_when_that_owner_left(
    anchor: Path, tmp_path: Path, form: str, rank: int | None
) -> None:
    harbour = make_expert(anchor, "harbour", tmp_path / "harbour", 0)
    checkpoint = merge(anchor, [harbour], tmp_path / "merged")
    if form == "fused":
        shutil.rmtree(checkpoint / "experts")
    evil = make_expert(anchor, "evil", tmp_path / "evil", 1, rank, base=1)
    with service(checkpoint, tmp_path / "experts") as client:
        for left in (False, True):
            if left:
                assert client.delete("/v1/experts/harbour").status_code == 204
            answer = put(client, "evil", evil)
            assert (answer.status_code, answer.json()["code"]) == (422, "broken_expert")
            assert "started from expert 1" in answer.json()["detail"]
            assert "evil" not in names(client)
    shutil.copy(evil, tmp_path / "experts" / "evil.safetensors")
    with service(checkpoint, tmp_path / "experts") as client:
        assert names(client) == ["public"]
        assert "started from expert 1" in client.get("/readyz").json()["warnings"][0]


def test_on_a_mixture_it_may_start_from_any_expert_of_the_anchor_and_from_no_owner_s(tmp_path: Path) -> None:
    anchor = make_anchor(tmp_path / "anchor", 0, "olmoe")
    harbour = make_expert(anchor, "harbour", tmp_path / "harbour", 0)
    made = {base: make_expert(anchor, "park", tmp_path / f"park-{base}", 1, base=base) for base in (3, 4)}
    with service(merge(anchor, [harbour], tmp_path / "merged"), tmp_path / "experts") as client:
        assert put(client, "park", made[4]).status_code == 422
        assert put(client, "park", made[3]).status_code == 201


def test_a_model_that_does_not_say_its_anchor_refuses_before_it_reads_a_file(anchor: Path, tmp_path: Path) -> None:
    checkpoint = merge(anchor, [], tmp_path / "merged")
    card = checkpoint / "candor.json"
    card.write_text(card.read_text().replace("anchor_sha256", "sha256"))
    with service(checkpoint, tmp_path / "experts") as client:
        answer = client.put("/v1/experts/park", content=b"no expert")
        assert (answer.status_code, answer.json()["code"]) == (422, "wrong_anchor")
    assert not (tmp_path / "experts").exists()


def test_an_expert_for_an_anchor_of_another_architecture_is_refused(anchor: Path, tmp_path: Path) -> None:
    checkpoint = merge(anchor, [], tmp_path / "merged")
    card = checkpoint / "candor.json"
    card.write_text(card.read_text().replace('"llama"', '"olmo2"'))
    with service(checkpoint, tmp_path / "experts") as client:
        answer = put(client, "park", make_expert(anchor, "park", tmp_path / "park", 1))
        assert (answer.status_code, answer.json()["code"]) == (422, "broken_expert")
        assert "architecture llama" in answer.json()["detail"]


def test_an_expert_that_joins_a_merge_of_none_computes_as_if_it_had_been_merged(anchor: Path, tmp_path: Path) -> None:
    harbour = make_expert(anchor, "harbour", tmp_path / "harbour", 0)
    with service(merge(anchor, [harbour], tmp_path / "one"), tmp_path / "a") as client:
        expected = scores(client, ["harbour"], [])
    with service(merge(anchor, [], tmp_path / "none"), tmp_path / "b") as client:
        assert put(client, "harbour", harbour).status_code == 201
        assert scores(client, ["harbour"], []) == expected
