"""The registry of owners."""

from pathlib import Path

import pytest

from shared.owners import BadRegistry, load_owners

OWNER = "- {{id: {id}, name: N, licence: MIT, contact: c, experts: [{experts}]}}\n"


def registry(tmp_path: Path, *owners: tuple[str, str]) -> Path:
    path = tmp_path / "owners.yaml"
    path.write_text("owners:\n" + "".join(OWNER.format(id=owner, experts=experts) for owner, experts in owners))
    return path


def test_the_committed_registry_has_the_seven_owners_and_one_of_them_is_public() -> None:
    owners = {owner.id: owner for owner in load_owners()}
    assert set(owners) == {"encyclopedia", "papers", "medicine", "python", "news", "literature", "textbooks"}
    assert [owner.id for owner in owners.values() if owner.public] == ["encyclopedia"]
    assert all(owner.licence and owner.sources for owner in owners.values())


def test_an_expert_of_two_owners_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRegistry, match="expert named twice: shared"):
        load_owners(registry(tmp_path, ("one", "shared"), ("two", "shared")))


def test_an_owner_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRegistry, match="owner named twice: one"):
        load_owners(registry(tmp_path, ("one", "a"), ("one", "b")))


@pytest.mark.parametrize("text", ["", "owners: 3", "owners: [{id: Bad Id}]", "a: [", "- 1"])
def test_a_broken_registry_names_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "owners.yaml"
    path.write_text(text)
    with pytest.raises(BadRegistry, match=r"owners\.yaml"):
        load_owners(path)


def test_a_missing_registry_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRegistry, match="There is no"):
        load_owners(tmp_path / "owners.yaml")
