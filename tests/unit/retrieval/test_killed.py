"""Changes and builds that SIGKILL ends at any step: nothing is lost, and nothing that was deleted comes back."""

import shutil
from pathlib import Path

import pytest

from services.retrieval.datastore import deletions
from services.retrieval.leann.codebook import FILE as CODEBOOK
from tests.killing import killed
from tests.retrieval_support import write_source
from tests.unit.retrieval.test_changes import BUILT, OWNERS, documents, home, main, of, opened
from tests.unit.retrieval.test_dropped import built

__all__ = ["home"]


def prepared(home: Path) -> dict[str, object]:
    """What the changes of these tests are made with."""
    catalogue, writer = opened(home)
    names = {"OWNERS": OWNERS, "documents": documents, "built": built}
    return {**names, "home": home, "writer": writer, "store": catalogue.get("main")}


@pytest.fixture(scope="module")
def never(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A datastore that never had anything of `public`."""
    place = tmp_path_factory.mktemp("never")
    write_source(place, "papers", BUILT["papers"])
    built(place)
    return place


def test_dropping_a_public_owner_killed_at_any_step_is_finished_by_the_next_start_or_deletion(
    home: Path, never: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    homes = killed(
        "tests.unit.retrieval.test_killed",
        'writer.drop_owner(store, "public"); writer.resume("main")',
        home,
        tmp_path_factory.mktemp("killed"),
        14,
    )
    finished = 0
    for number, place in enumerate(homes):
        target = place / "retrieval" / "main"
        recorded = "public" in deletions.read(target).dropped
        catalogue, writer = opened(place) if number % 2 else opened(place, resume=False)
        assert recorded == ("public" not in main(catalogue).owners)
        if number % 2 == 0 or not recorded:
            assert writer.drop_owner(main(catalogue), "public") or deletions.read(target).dropped
            writer.resume("main")
        finished += recorded
        assert main(catalogue).owners == ["papers"]
        assert not main(catalogue).warnings
        assert all(segment.codes for segment in main(catalogue).segments)
        assert not [*target.glob("*public*")]
        assert (target / CODEBOOK).read_bytes() == (never / "retrieval" / "main" / CODEBOOK).read_bytes()
        opened(place)
        assert not [*target.glob(".removed-*"), *target.glob(".adding-*")]
        built(place)
        assert main(catalogue).owners == ["papers"]
    assert 0 < finished < len(homes)


@pytest.mark.parametrize(
    ("what", "points"),
    [
        ('writer.delete(store, "papers", "papers-source:0")', 6),
        ('writer.add(store, OWNERS[1], documents({"papers-source:0": "the elk", "c": "the bee"}))', 8),
        ('writer.merge("main", OWNERS[1])', 8),
        ("built(home)", 16),
    ],
)
def test_a_change_killed_at_any_step_is_there_or_not_and_can_be_made_again(
    home: Path, what: str, points: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    catalogue, writer = opened(home)
    for identity in "ab":
        writer.add(main(catalogue), OWNERS[1], documents({identity: "the ant"}))
    writer.delete(main(catalogue), "papers", "a")
    write_source(home, "papers", [*BUILT["papers"], "the fox"])
    before = of(main(catalogue), "papers")
    done = shutil.copytree(home, tmp_path_factory.mktemp("done") / "home")
    change(what, done)
    after = of(main(opened(done)[0]), "papers")
    for place in killed("tests.unit.retrieval.test_killed", what, home, tmp_path_factory.mktemp("killed"), points):
        for resume in (False, True):
            assert of(main(opened(place, resume=resume)[0]), "papers") in (before, after)
        change(what, place)
        store = main(opened(place)[0])
        assert of(store, "papers") == after
        assert not store.warnings


def change(what: str, home: Path) -> None:
    """As the driver does it."""
    exec(what, prepared(home))


def test_restoring_an_owner_killed_at_any_step_brings_nothing_back_that_was_added_before(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    catalogue, writer = opened(home)
    writer.add(main(catalogue), OWNERS[1], documents({"a": "the ant"}))
    writer.drop_owner(main(catalogue), "papers")
    texts = {f"papers-source:{number}": text for number, text in enumerate(BUILT["papers"])}
    for place in killed(
        "tests.unit.retrieval.test_killed",
        'built(home, restore=("papers",))',
        home,
        tmp_path_factory.mktemp("killed"),
        8,
    ):
        assert of(main(opened(place)[0]), "papers") in ({}, texts)
        dropped = deletions.read(place / "retrieval" / "main").dropped
        built(place, restore=(*dropped,))
        assert of(main(opened(place)[0]), "papers") == texts
