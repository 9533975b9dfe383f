"""Owners who were deleted from a datastore: they stay out until someone restores them."""

from pathlib import Path

import pytest

from services.retrieval.datastore import deletions
from services.retrieval.datastore.build import Report, Sizes, build
from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.dropped import NotDropped
from services.retrieval.datastore.generation import changing
from services.retrieval.datastore.writer import Writer
from services.retrieval.leann.codebook import FILE as CODEBOOK
from services.retrieval.leann.codebook import origin
from tests.retrieval_support import HashingEncoder, write_source
from tests.unit.retrieval.test_changes import OWNERS, documents, home, main, of, opened
from tests.unit.retrieval.test_exact import Newer

__all__ = ["home"]
SIZES = Sizes(bytes=400, passages=2)


def built(home: Path, told: list[str] | None = None, restore: tuple[str, ...] = ()) -> Report:
    tell = told.append if told is not None else lambda _: None
    return build(home, OWNERS, HashingEncoder.card, HashingEncoder, tell, sizes=SIZES, restore=restore)


def test_the_next_builds_leave_a_dropped_owner_out_and_say_how_to_restore_it(home: Path) -> None:
    catalogue, writer = opened(home)
    writer.drop_owner(main(catalogue), "papers")
    for _ in range(2):
        told: list[str] = []
        assert built(home, told).dropped == ["papers"]
        assert any("candor data build --restore papers" in line for line in told)
        assert main(opened(home)[0]).owners == ["public"]
    write_source(home, "papers", ["the elk"], source="new")
    built(home)
    assert main(opened(home)[0]).owners == ["public"]


def test_a_dropped_owner_is_restored_by_a_build_that_is_told_to(home: Path) -> None:
    catalogue, writer = opened(home)
    before = of(main(catalogue), "papers")
    writer.drop_owner(main(catalogue), "papers")
    assert built(home, restore=("papers",)).dropped == []
    assert of(main(catalogue), "papers") == before
    assert built(home).dropped == []
    with pytest.raises(NotDropped, match="papers was not deleted"):
        built(home, restore=("papers",))


def test_what_was_deleted_before_the_owner_was_stays_deleted_when_the_owner_is_restored(home: Path) -> None:
    catalogue, writer = opened(home)
    writer.delete(main(catalogue), "papers", "papers-source:0")
    writer.drop_owner(main(catalogue), "papers")
    built(home, restore=("papers",))
    assert of(main(catalogue), "papers").keys() == {"papers-source:1", "papers-source:2"}


def test_what_is_added_to_a_dropped_owner_is_shown_and_stays_while_the_texts_are_left_out(home: Path) -> None:
    catalogue, writer = opened(home)
    writer.add(main(catalogue), OWNERS[1], documents({"a": "the ant"}))
    writer.drop_owner(main(catalogue), "papers")
    writer.add(main(catalogue), OWNERS[1], documents({"b": "the bee"}))
    built(home)
    assert of(main(opened(home)[0]), "papers") == {"b": "the bee"}
    built(home, restore=("papers",))
    assert of(main(opened(home)[0]), "papers").keys() == {f"papers-source:{number}" for number in range(3)} | {"b"}


def test_an_owner_whose_log_of_deletions_is_damaged_can_be_dropped(home: Path) -> None:
    catalogue, writer = opened(home)
    writer.delete(main(catalogue), "papers", "papers-source:0")
    (home / "retrieval" / "main" / "papers.deleted").unlink()
    assert writer.drop_owner(main(opened(home)[0]), "papers")
    assert not (home / "retrieval" / "main" / "papers").exists()


def test_a_service_with_another_encoder_leaves_nothing_of_a_dropped_owner_in_the_codebook(home: Path) -> None:
    catalogue = Catalogue(home / "retrieval", Newer.card)
    writer = Writer(home / "retrieval", catalogue, Newer())
    writer.drop_owner(main(catalogue), "public")
    writer.resume("main")
    opened(home)  # as the service starts with the first encoder again
    left = origin(home / "retrieval" / "main")
    assert left is None or left.segments == []


def test_a_damaged_codebook_is_learnt_anew_when_an_owner_is_dropped(home: Path) -> None:
    file = home / "retrieval" / "main" / CODEBOOK
    file.write_bytes(file.read_bytes()[:40])
    catalogue, writer = opened(home)
    writer.drop_owner(main(catalogue), "public")
    opened(home)
    assert main(opened(home)[0]).codebook


def test_no_codebook_is_searched_by_while_a_dropped_owner_may_be_in_it(home: Path) -> None:
    catalogue, writer = opened(home)
    target = home / "retrieval" / "main"
    assert main(catalogue).codebook
    with changing(target):  # as of a drop until the codebook is learnt anew
        deletions.read(target).with_owner("public", 1, recode=True).write(target)
    assert (main(catalogue).codebook, main(catalogue).owners) == (None, ["papers"])
    (warning,) = main(catalogue).warnings
    assert "there is no index `leann` until" in warning
    writer.resume("main")
    assert main(catalogue).codebook
    assert main(catalogue).warnings == []
    assert all(segment.codes for segment in main(catalogue).segments)
