"""Changes of a datastore at the same time as others, by this process or by another."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.retrieval.changes import Changes
from services.retrieval.datastore import coding
from services.retrieval.datastore.build import build
from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.manifest import EncoderStamp
from services.retrieval.datastore.segment import VECTORS
from services.retrieval.datastore.writer import Writer
from services.retrieval.errors import NotWritable
from shared import workspace
from shared.contracts import retrieval as wire
from shared.durable import publish
from tests.retrieval_support import HashingEncoder, write_source
from tests.unit.retrieval.test_changes import OWNERS, documents, found, home, main, of, opened

__all__ = ["home"]


class Waiting(HashingEncoder):
    """Waits before it encodes until it is told to go on."""

    def __init__(self) -> None:
        self.reached, self.go_on = Event(), Event()

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        self.reached.set()
        assert self.go_on.wait(20)
        return super().encode(texts, progress)


@contextmanager
def meanwhile(encoder: Waiting, call: Callable[[], object]) -> Iterator[None]:
    """The block runs while the call waits for its encoder; the call has ended afterwards."""
    with ThreadPoolExecutor(1) as thread:
        under_way = thread.submit(call)
        try:
            assert encoder.reached.wait(20)
            yield
        finally:
            encoder.go_on.set()
        under_way.result()


def test_an_owner_can_be_dropped_while_documents_are_added_and_these_come_after_it(home: Path) -> None:
    catalogue, writer = opened(home)
    slow = Waiting()
    adding = Writer(home / "retrieval", catalogue, slow)
    store = main(catalogue)
    with meanwhile(slow, lambda: adding.add(store, OWNERS[1], documents({"a": "the ant"}))):
        assert writer.drop_owner(main(catalogue), "papers")
        assert main(catalogue).owners == ["public"]
    assert of(main(catalogue), "papers") == {"a": "the ant"}


def test_an_owner_who_is_dropped_while_a_build_runs_is_not_in_what_it_makes(home: Path) -> None:
    write_source(home, "papers", ["the elk"], source="new")
    catalogue, writer = opened(home)
    slow = Waiting()
    told: list[str] = []
    with meanwhile(slow, lambda: build(home, OWNERS, HashingEncoder.card, lambda: slow, told.append)):
        assert writer.drop_owner(main(catalogue), "papers")
        assert main(catalogue).owners == ["public"]
    assert main(catalogue).owners == ["public"]
    assert any("papers: the owner was deleted" in line for line in told)
    assert not (home / "retrieval" / "main" / "papers").exists()


def test_another_start_leaves_the_work_of_a_process_that_lives(home: Path) -> None:
    catalogue, _ = opened(home)
    slow = Waiting()
    adding = Writer(home / "retrieval", catalogue, slow)
    store = main(catalogue)
    with meanwhile(slow, lambda: adding.add(store, OWNERS[1], documents({"a": "the ant"}))):
        opened(home)
        assert [*(home / "retrieval" / "main").glob(".adding-*")]
    assert of(main(catalogue), "papers")["a"] == "the ant"


def test_a_workspace_that_nobody_holds_is_swept(tmp_path: Path) -> None:
    with workspace.workspace(tmp_path) as held:
        (tmp_path / ".adding-dead" / "segment").mkdir(parents=True)
        workspace.sweep(tmp_path)
        assert [*tmp_path.iterdir()] == [held]
    assert [*tmp_path.iterdir()] == []


def test_an_addition_says_what_it_replaced_when_it_came_and_not_when_it_began(home: Path) -> None:
    catalogue, writer = opened(home)
    slow = Waiting()
    adding = Writer(home / "retrieval", catalogue, slow)
    store = main(catalogue)
    said = []
    batch = documents({"a": "the ant", "papers-source:0": "the elk", "b": "the bee"})
    with meanwhile(slow, lambda: said.append(adding.add(store, OWNERS[1], batch))):
        writer.add(main(catalogue), OWNERS[1], documents({"a": "the cat"}))
        writer.delete(main(catalogue), "papers", "papers-source:0")
    assert said[0].replaced == ["a"]
    assert of(main(catalogue), "papers")["a"] == "the ant"


def test_of_many_who_delete_a_document_one_is_told_that_it_was_there(home: Path) -> None:
    catalogue, writer = opened(home)
    store = main(catalogue)
    with ThreadPoolExecutor(4) as threads:
        told = [*threads.map(lambda _: writer.delete(store, "papers", "papers-source:0"), range(4))]
    assert sorted(told) == [False, False, False, True]


def test_while_codes_are_made_others_search_and_add_and_what_they_add_has_codes_too(home: Path) -> None:
    catalogue, writer = opened(home)
    write_source(home, "public", ["the fox"])
    reached, go_on = Event(), Event()

    def vectors(folder: Path) -> NDArray[np.float16]:
        reached.set()
        assert go_on.wait(20)
        loaded: NDArray[np.float16] = np.load(folder / VECTORS)
        return loaded

    target = home / "retrieval" / "main"
    (target / "leann.codebook").unlink()
    stamp = EncoderStamp.of(HashingEncoder.card)
    with ThreadPoolExecutor(1) as thread:
        making = thread.submit(coding.code, target, stamp, lambda _: None, vectors)
        try:
            assert reached.wait(20)
            writer.add(main(catalogue), OWNERS[1], documents({"a": "the gnu"}))
            assert found(main(catalogue), "bm25", "gnu", ["papers"])
        finally:
            go_on.set()
        making.result()
    store = main(catalogue)
    assert store.codebook
    assert not store.warnings
    assert all(segment.codes for segment in store.segments)


@pytest.mark.parametrize("folder", [".removed-1", "papers"])
def test_a_folder_that_goes_while_codes_are_made_is_passed_over(
    home: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    target = home / "retrieval" / "main"
    (target / folder).mkdir(exist_ok=True)

    def going(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def call(path: Any) -> Any:  # another process takes it away in the moment before it is read
            if path == target / folder:
                path.rename(home / "gone")
            return read(path)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", going(os.scandir))
        patched.setattr(os, "listdir", going(os.listdir))
        coding.code(target, EncoderStamp.of(HashingEncoder.card), lambda _: None, lambda part: np.load(part / VECTORS))
    assert main(opened(home)[0]).codebook


def test_reading_all_files_ends_well_when_one_vanishes_meanwhile(home: Path) -> None:
    catalogue, writer = opened(home)
    before = main(catalogue)
    writer.drop_owner(before, "papers")
    catalogue.all = lambda: [before]  # type: ignore[method-assign]
    assert catalogue.check() == []
    assert main(catalogue).owners == ["public"]


def test_a_folder_that_takes_anothers_place_leaves_no_moment_without_one(tmp_path: Path) -> None:
    place, stop, missing = tmp_path / "segment", Event(), []

    def watch() -> None:
        while not stop.is_set():
            try:
                (place / "file").read_text()
            except FileNotFoundError:
                missing.append(1)

    place.mkdir()
    (place / "file").write_text("0")
    watching = Thread(target=watch)
    watching.start()
    for number in range(1, 300):
        new = tmp_path / f"new-{number}"
        new.mkdir()
        (new / "file").write_text(str(number))
        publish(new, place)
        assert (new / "file").read_text() == str(number - 1)
    stop.set()
    watching.join()
    assert not missing
    assert (place / "file").read_text() == "299"


def test_merges_that_were_due_are_done_after_the_next_start(home: Path) -> None:
    catalogue, writer = opened(home)
    for identity in "abcd":
        writer.add(main(catalogue), OWNERS[1], documents({identity: "the ant"}))
    catalogue, writer = opened(home)
    changes = Changes(catalogue, writer, {owner.id: owner for owner in OWNERS})
    changes.resume()
    changes._behind.shutdown(wait=True)
    assert len([*(home / "retrieval" / "main" / "papers").glob("added-*")]) == 1
    assert of(main(catalogue), "papers").keys() >= {*"abcd"}


def test_a_public_owner_is_dropped_at_once_and_the_codebook_is_learnt_anew_behind(tmp_path: Path) -> None:
    for owner in OWNERS:
        write_source(tmp_path, owner.id, ["the ant"])
    build(tmp_path, OWNERS, HashingEncoder.card, HashingEncoder, lambda _: None, indexes=("leann", "bm25"))
    slow, catalogue = Waiting(), Catalogue(tmp_path / "retrieval", HashingEncoder.card)
    changes = Changes(catalogue, Writer(tmp_path / "retrieval", catalogue, slow), {owner.id: owner for owner in OWNERS})
    try:
        changes.drop_owner("main", "public")
        assert slow.reached.wait(20)
        assert (main(catalogue).owners, main(catalogue).codebook) == (["papers"], None)
        assert not (tmp_path / "retrieval" / "main" / "public").exists()
    finally:
        slow.go_on.set()
    changes._behind.shutdown(wait=True)
    book = main(catalogue).codebook
    assert book
    assert book.origin.segments == []


def test_of_unfinished_work_only_what_is_not_shown_is_said_to_be_left_out(home: Path) -> None:
    for name in ("source", "other"):
        (home / "retrieval" / "main" / "papers" / f".unfinished-{name}").mkdir()
    store = main(opened(home)[0])
    assert of(store, "papers")
    (warning,) = store.warnings
    assert "papers/.unfinished-other: a build of it has not finished" in warning


@pytest.mark.parametrize("place", ["main", "main/papers"])
def test_what_cannot_be_written_to_is_named_with_what_to_do(home: Path, place: str) -> None:
    catalogue, writer = opened(home)
    changes = Changes(catalogue, writer, {owner.id: owner for owner in OWNERS})
    request = wire.AddDocuments(owner="papers", documents=[wire.NewDocument(id="a", text="the ant")])
    target, folder = home / "retrieval" / "main", home / "retrieval" / place
    folder.chmod(0o555)
    try:
        with unprivileged():
            with pytest.raises(NotWritable, match="Permission denied; let the service's user write there") as error:
                changes.add("main", request)
            with pytest.raises(NotWritable):
                changes.drop_owner("main", "papers")
    finally:
        for made in (target, target / "papers", *target.glob(".removed-*")):
            if made.exists():
                made.chmod(0o755)
    assert str(target) in str(error.value)
    changes.drop_owner("main", "papers")
    assert not [*target.glob(".removed-*"), *target.glob("papers*")]
    changes.close()


@contextmanager
def unprivileged() -> Iterator[None]:
    """This thread without root's right to write everywhere, if it has it."""
    if os.geteuid():
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root can write everywhere")
    system = ctypes.CDLL(None, use_errno=True)
    header, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert system.capget(header, held) == 0
    less = (ctypes.c_uint32 * 6)(*held)
    less[0] &= ~0b1111  # of the effective ones: CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER
    assert system.capset(header, less) == 0
    try:
        yield
    finally:
        assert system.capset(header, held) == 0
