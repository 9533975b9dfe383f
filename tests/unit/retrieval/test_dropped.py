"""Owners who were deleted from a datastore: they stay out, whatever is killed when, until someone restores them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.retrieval.datastore import deletions
from services.retrieval.datastore.build import Report, Sizes, build
from services.retrieval.datastore.dropped import NotDropped
from services.retrieval.leann.codebook import FILE as CODEBOOK
from tests.retrieval_support import HashingEncoder, write_source
from tests.unit.retrieval.test_changes import BUILT, OWNERS, documents, home, main, of, opened

__all__ = ["home"]
SIZES = Sizes(bytes=400, passages=2)


def built(home: Path, told: list[str] | None = None, restore: tuple[str, ...] = ()) -> Report:
    tell = told.append if told is not None else lambda _: None
    return build(home, OWNERS, HashingEncoder.card, HashingEncoder, tell, sizes=SIZES, restore=restore)


@pytest.fixture(scope="module")
def never(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A datastore that never had anything of `public`."""
    place = tmp_path_factory.mktemp("never")
    write_source(place, "papers", BUILT["papers"])
    built(place)
    return place


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


DRIVER = """
import os, signal, sys
from pathlib import Path
from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.writer import Writer
from tests.retrieval_support import HashingEncoder

def drop(home, point):
    catalogue = Catalogue(home / "retrieval", HashingEncoder.card)
    writer = Writer(home / "retrieval", catalogue, HashingEncoder())
    store, done = catalogue.get("main"), 0
    def hook(event, arguments):
        nonlocal done
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir"):
            done += 1
            if done == point:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    writer.drop_owner(store, "public")
    return done

first, *homes = map(Path, sys.argv[1:])
reader, writer = os.pipe()
if not os.fork():
    os.write(writer, str(drop(first, 0)).encode())
    os._exit(0)
steps = int(os.read(reader, 20))
for number, home in enumerate(homes):
    if not os.fork():
        drop(home, 1 + number * steps // len(homes))
        os._exit(0)
    os.wait()
print(steps)
"""


def test_dropping_a_public_owner_killed_at_any_step_is_finished_by_the_next_start_or_deletion(
    home: Path, never: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("killed")
    homes = [shutil.copytree(home, place / str(number)) for number in range(21)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *map(str, homes)], capture_output=True, text=True, check=True, env=environment
    )
    assert int(done.stdout) > len(homes), "there are fewer steps than homes"
    finished = 0
    for number, killed in enumerate(homes[1:]):
        target = killed / "retrieval" / "main"
        recorded = "public" in deletions.read(target).dropped
        catalogue, writer = opened(killed) if number % 2 else opened(killed, resume=False)
        assert recorded == ("public" not in main(catalogue).owners)
        if number % 2 == 0 or not recorded:
            assert writer.drop_owner(main(catalogue), "public") or deletions.read(target).dropped
        finished += recorded
        assert main(catalogue).owners == ["papers"]
        assert not main(catalogue).warnings
        assert all(segment.codes for segment in main(catalogue).segments)
        assert not [*target.glob("*public*")]
        assert (target / CODEBOOK).read_bytes() == (never / "retrieval" / "main" / CODEBOOK).read_bytes()
        opened(killed)
        assert not [*target.glob(".removed-*"), *target.glob(".adding-*")]
        built(killed)
        assert main(catalogue).owners == ["papers"]
    assert 0 < finished < len(homes) - 1
