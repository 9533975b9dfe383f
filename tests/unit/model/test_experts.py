"""Which experts a mask lets compute, by what candor.json says of them."""

import json
from pathlib import Path

import pytest

from services.model.experts import Experts

ENTRIES: list[dict[str, object]] = [
    {"id": "public", "public": True},
    {"id": "public-1", "public": True},
    {"id": "harbour", "owner": "harbour"},
    {"id": "bakery", "owner": "bakery"},
]


def of(folder: Path, entries: list[dict[str, object]]) -> Experts:
    (folder / "candor.json").write_text(json.dumps({"experts": entries}), encoding="utf-8")
    return Experts.of(folder, len(entries))


def test_every_public_expert_of_an_anchor_that_is_a_mixture_is_always_on(tmp_path: Path) -> None:
    experts = of(tmp_path, ENTRIES)
    assert experts.mask([], "candor.experts") == {0, 1}
    assert experts.mask(["harbour"], "candor.experts") == {0, 1, 2}


def test_the_public_experts_are_one_in_what_is_said_of_a_mask_and_of_routing(tmp_path: Path) -> None:
    experts = of(tmp_path, ENTRIES)
    assert experts.names(experts.mask(["bakery"], "candor.experts")) == ["public", "bakery"]
    assert experts.shares({0: 0.25, 1: 0.25, 2: 0.5, 3: 0.0}) == {"public": 0.5, "harbour": 0.5, "bakery": 0.0}


def test_a_card_of_before_says_public_by_the_id_alone(tmp_path: Path) -> None:
    experts = of(tmp_path, [{"id": "public"}, {"id": "harbour", "owner": "harbour"}])
    assert experts.mask([], "candor.experts") == {0}


def test_an_owner_s_expert_cannot_be_always_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="always on cannot be an owner's: harbour"):
        of(tmp_path, [{"id": "public"}, {"id": "harbour", "owner": "harbour", "public": True}])


def test_a_checkpoint_without_a_card_has_one_public_expert_and_numbered_others(tmp_path: Path) -> None:
    experts = Experts.of(tmp_path, 3)
    assert [expert.id for expert in experts.listed] == ["public", "expert-1", "expert-2"]
    assert experts.mask(["expert-2"], "candor.experts") == {0, 2}
