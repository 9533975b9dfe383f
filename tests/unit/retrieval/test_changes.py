"""Adding, updating, deleting and merging documents against a dict, whatever is done in whatever order."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.retrieval.datastore import deletions, generation
from services.retrieval.datastore.added import Span, current
from services.retrieval.datastore.build import Report, Sizes, build
from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.deletions import BadDeletions
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.generation import RECORD
from services.retrieval.datastore.layout import BadLayout
from services.retrieval.datastore.opened import Datastore
from services.retrieval.datastore.tombstones import SUFFIX, BadTombstones
from services.retrieval.datastore.writer import Writer
from services.retrieval.leann.codebook import FILE as CODEBOOK
from services.retrieval.search import Effort, Options, Stage, search
from tests.retrieval_support import HashingEncoder, owner, write_source

OWNERS = [owner("public", public=True), owner("papers")]
BUILT = {"public": ["the ant and the bee"], "papers": ["the ant", "the bee and the cat", "the dog"]}
WORDS = ["ant", "bee", "cat", "dog", "elk"]
IDS = [f"papers-source:{number}" for number in range(4)] + ["a", "b", "c"]
STAGES: list[tuple[str, Stage]] = [("compactds", "exact"), ("bm25", "bm25"), ("leann", "exact")]
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
batches = st.dictionaries(st.sampled_from(IDS), texts, min_size=1, max_size=4)


def built(home: Path) -> Report:
    return build(home, OWNERS, HashingEncoder.card, HashingEncoder, lambda _: None, sizes=Sizes(bytes=400, passages=2))


def opened(home: Path, *, resume: bool = True) -> tuple[Catalogue, Writer]:
    """As after a start; without `resume`, as before what goes on in the background then."""
    catalogue = Catalogue(home / "retrieval", HashingEncoder.card)
    writer = Writer(home / "retrieval", catalogue, HashingEncoder())
    if resume:
        writer.resume("main")
    return catalogue, writer


def main(catalogue: Catalogue) -> Datastore:
    found = catalogue.get("main")
    assert found
    return found


def documents(texts: dict[str, str]) -> list[Document]:
    return [Document(identity, text, "", "added", "MIT") for identity, text in texts.items()]


def of(store: Datastore, name: str) -> dict[str, str]:
    """What is shown of an owner, as the segments have it."""
    shown = [document for segment in store.of([name]) for document in segment.kept()]
    assert len({document.id for document in shown}) == len(shown)
    return {document.id: document.text for document in shown}


def found(store: Datastore, index: str, query: str, names: list[str]) -> list[tuple[str, dict[Stage, float]]]:
    options = Options(index, k=20, candidates=50, recompute=50, recall=1)  # type: ignore[arg-type]
    (passages,) = search(store.of(names), HashingEncoder(), [query], options, Effort())
    return [(passage.passage.id, passage.scores) for passage in passages]


class Changing(RuleBasedStateMachine):
    @initialize()
    def build(self) -> None:
        self.home = Path(mkdtemp())
        for name, part in BUILT.items():
            write_source(self.home, name, part)
        built(self.home)
        self.catalogue, self.writer = opened(self.home)
        self.expected = {f"papers-source:{number}": text for number, text in enumerate(BUILT["papers"])}

    @rule(batch=batches)
    def add(self, batch: dict[str, str]) -> None:
        added = self.writer.add(main(self.catalogue), OWNERS[1], documents(batch))
        assert added.replaced == sorted(batch.keys() & self.expected.keys())
        self.expected |= batch

    @rule(identity=st.sampled_from(IDS))
    def delete(self, identity: str) -> None:
        was_there = identity in self.expected
        assert self.writer.delete(main(self.catalogue), "papers", identity) == was_there
        self.expected.pop(identity, None)

    @rule()
    def merge(self) -> None:
        self.writer.merge("main", OWNERS[1])
        sizes = [
            segment.manifest.passages
            for segment in main(self.catalogue).of(["papers"])
            if Span.parse(segment.manifest.id)
        ]
        assert all(older >= 2 * sum(sizes[number + 1 :]) for number, older in enumerate(sizes[:-1]))
        assert sum(sizes) <= len(self.expected), "texts that are hidden are still on disk"

    @rule()
    def build_again(self) -> None:
        built(self.home)
        source = [segment for segment in main(self.catalogue).of(["papers"]) if segment.manifest.id == "source"]
        deleted = main(self.catalogue).tombstones["papers"].documents
        assert not any(segment.passages.of(deleted).any() for segment in source)

    @rule()
    def restart(self) -> None:
        self.catalogue, self.writer = opened(self.home)

    @precondition(lambda self: self.expected)
    @rule(query=texts)
    def search_as_if_it_had_always_been_so(self, query: str) -> None:
        fresh = Path(mkdtemp())
        try:
            write_source(fresh, "public", BUILT["public"])
            (fresh / "texts" / "papers").mkdir(parents=True)
            build(fresh, OWNERS, HashingEncoder.card, HashingEncoder, lambda _: None)
            catalogue, writer = opened(fresh)
            writer.add(main(catalogue), OWNERS[1], documents(self.expected))
            for index, stage in STAGES:
                ours = found(main(self.catalogue), index, query, ["papers", "public"])
                theirs = found(main(catalogue), index, query, ["papers", "public"])
                assert {one[0]: one[1][stage] for one in ours} == {one[0]: one[1][stage] for one in theirs}
        finally:
            shutil.rmtree(fresh)

    @invariant()
    def shows_what_was_written_last(self) -> None:
        if hasattr(self, "expected"):
            store = main(self.catalogue)
            assert of(store, "papers") == self.expected
            assert not store.warnings
            for identity in IDS:
                known = store.document(identity, ["papers"])
                assert (known[1].text if known else None) == self.expected.get(identity)

    def teardown(self) -> None:
        if hasattr(self, "home"):
            shutil.rmtree(self.home)


TestChanging = Changing.TestCase
# a case is seconds of files: to find a smaller one that fails too would take longer than to read this one
TestChanging.settings = settings(
    deadline=None, max_examples=8, stateful_step_count=12, phases=[Phase.explicit, Phase.generate]
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name, part in BUILT.items():
        write_source(tmp_path, name, part)
    built(tmp_path)
    return tmp_path


def test_a_build_in_another_process_is_seen_at_the_next_search(home: Path) -> None:
    catalogue, _ = opened(home)
    before = main(catalogue)
    assert main(catalogue) is before
    write_source(home, "papers", [*BUILT["papers"], "the elk"])
    other = Catalogue(home / "retrieval", HashingEncoder.card)  # as another process has it
    built(home)
    assert of(main(catalogue), "papers")["papers-source:3"] == "the elk"
    assert main(catalogue).of(["public"])[0].passages.document("public-source:0") is not None
    assert of(main(other), "papers") == of(main(catalogue), "papers")


def test_a_segment_that_has_not_changed_is_not_opened_again(home: Path) -> None:
    catalogue, writer = opened(home)
    passages = {segment.folder: segment.passages for segment in main(catalogue).segments}
    writer.add(main(catalogue), OWNERS[1], documents({"a": "the ant"}))
    for segment in main(catalogue).segments:
        assert segment.passages is passages.get(segment.folder, segment.passages)


def test_a_search_under_way_keeps_what_it_began_with(home: Path) -> None:
    catalogue, writer = opened(home)
    before = main(catalogue)
    writer.add(before, OWNERS[1], documents({"papers-source:0": "the gnu"}))
    writer.delete(before, "papers", "papers-source:1")
    assert writer.drop_owner(before, "public")
    assert of(before, "papers")["papers-source:0"] == "the ant"
    assert found(before, "bm25", "bee", ["papers", "public"])


def test_an_owner_who_is_dropped_leaves_no_file(home: Path) -> None:
    catalogue, writer = opened(home)
    writer.add(main(catalogue), OWNERS[1], documents({"a": "the ant"}))
    assert writer.drop_owner(main(catalogue), "papers")
    assert not list((home / "retrieval" / "main").glob("*papers*"))
    assert main(catalogue).owners == ["public"]
    assert not writer.drop_owner(main(catalogue), "papers")


def test_nothing_of_a_public_owner_who_is_dropped_stays_in_the_codebook(home: Path, tmp_path_factory: Any) -> None:
    catalogue, writer = opened(home)
    assert writer.drop_owner(main(catalogue), "public")
    writer.resume("main")
    other = tmp_path_factory.mktemp("never")
    write_source(other, "papers", BUILT["papers"])
    built(other)
    books = [(place / "retrieval" / "main" / CODEBOOK).read_bytes() for place in (home, other)]
    assert books[0] == books[1]
    assert all(segment.codes for segment in main(catalogue).segments)


def test_who_is_public_no_more_is_not_public_by_what_was_added_either(home: Path) -> None:
    catalogue, writer = opened(home)
    writer.add(main(catalogue), OWNERS[0], documents({"a": "the ant"}))
    private = [owner("public"), OWNERS[1]]
    build(home, private, HashingEncoder.card, HashingEncoder, lambda _: None, sizes=Sizes(bytes=400, passages=2))
    store = main(catalogue)
    assert store.public == []
    assert store.codebook
    assert store.codebook.origin.segments == []
    writer.add(main(catalogue), OWNERS[0], documents({"b": "the bee"}))  # by a service that started before
    assert main(catalogue).public == []


def test_a_merge_does_not_take_the_place_of_an_addition_that_is_damaged(home: Path) -> None:
    catalogue, writer = opened(home)
    for identity in "abc":
        writer.add(main(catalogue), OWNERS[1], documents({identity: "the ant"}))
    papers = home / "retrieval" / "main" / "papers"
    (papers / "added-00000002-00000002.0" / "texts.zst").write_bytes(b"x")
    catalogue, writer = opened(home)
    writer.merge("main", OWNERS[1])
    assert len([*papers.glob("added-*")]) == 3
    assert any("added-00000002" in warning for warning in main(opened(home)[0]).warnings)


def test_a_newest_addition_that_hides_all_it_holds_does_not_keep_the_others_apart(home: Path) -> None:
    catalogue, writer = opened(home)
    for batch in ({"a": "the ant"}, {"b": "the bee", "c": "the cat"}, {"d": "the dog"}, {"e": "the elk"}):
        writer.add(main(catalogue), OWNERS[1], documents(batch))
    writer.delete(main(catalogue), "papers", "e")
    writer.merge("main", OWNERS[1])
    added = [segment for segment in main(catalogue).of(["papers"]) if Span.parse(segment.manifest.id)]
    assert [segment.manifest.passages for segment in added] == [4]
    assert {"a", "b", "c", "d"} <= of(main(catalogue), "papers").keys()


def test_a_merge_under_way_takes_nothing_from_an_owner_who_was_dropped_and_came_back(home: Path) -> None:
    catalogue, writer = opened(home)
    writer.add(main(catalogue), OWNERS[1], documents({"a": "the ant"}))
    writer.delete(main(catalogue), "papers", "a")
    stale = Catalogue(home / "retrieval", HashingEncoder.card)
    before = main(stale)
    writer.drop_owner(main(catalogue), "papers")
    writer.add(main(catalogue), OWNERS[1], documents({"b": "the bee"}))
    stale.get = lambda name: before  # type: ignore[method-assign]
    Writer(home / "retrieval", stale, HashingEncoder()).merge("main", OWNERS[1])
    assert of(main(catalogue), "papers") == {"b": "the bee"}


def test_a_folder_that_cannot_be_written_to_is_searched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("services.retrieval.datastore.generation.locked", refused)
    assert of(main(opened(home)[0]), "papers")


@pytest.mark.parametrize("loss", ["a byte", "the end", "all", "the record of it"])
def test_what_was_deleted_is_not_shown_when_the_file_that_says_so_is_damaged_or_lost(home: Path, loss: str) -> None:
    catalogue, writer = opened(home)
    for number in range(2):
        writer.delete(main(catalogue), "papers", f"papers-source:{number}")
    file = home / "retrieval" / "main" / f"papers{SUFFIX}"
    content = file.read_bytes()
    if loss == "a byte":
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif loss == "the end":
        file.write_bytes(content[:-1])
    elif loss == "all":
        file.unlink()
    else:
        (file.parent / ".generation").unlink()
        (file.parent / RECORD).unlink()
    store = main(opened(home)[0])
    assert store.owners == ["public"]
    (warning,) = store.warnings
    assert "papers.deleted" in warning
    with pytest.raises(BadTombstones):
        writer.add(store, OWNERS[1], documents({"a": "the ant"}))
    (unknown,) = built(home).unknown
    assert "papers.deleted" in unknown
    assert main(opened(home)[0]).owners == ["public"]


def test_a_deletion_writes_the_same_however_many_there_were_and_no_id(home: Path) -> None:
    catalogue, writer = opened(home)
    target, sizes = home / "retrieval" / "main", []
    writer.add(main(catalogue), OWNERS[1], documents({f"secret-{number}": "the ant" for number in range(9)}))
    for number in range(9):
        writer.delete(main(catalogue), "papers", f"secret-{number}")
        sizes.append(((target / f"papers{SUFFIX}").stat().st_size, (target / RECORD).stat().st_size))
    assert [log for log, _ in sizes] == [16 * (number + 1) for number in range(9)]
    assert len({record for _, record in sizes}) == 1
    assert b"secret" not in (target / f"papers{SUFFIX}").read_bytes() + (target / RECORD).read_bytes()


def test_a_deletion_whose_record_was_not_written_counts_for_nothing_and_the_next_one_does(home: Path) -> None:
    catalogue, writer = opened(home)
    writer.delete(main(catalogue), "papers", "papers-source:0")
    with (home / "retrieval" / "main" / f"papers{SUFFIX}").open("ab") as file:
        file.write(b"killed while it wr")
    catalogue, writer = opened(home)
    assert writer.delete(main(catalogue), "papers", "papers-source:1")
    assert of(main(opened(home)[0]), "papers").keys() == {"papers-source:2"}


def earlier(home: Path, documents: dict[str, int]) -> Path:
    """The file of deletions that an owner had before there was a record of them."""
    digest = hashlib.sha256(json.dumps(documents).encode()).hexdigest()
    file = home / "retrieval" / "main" / "papers" / "tombstones.json"
    file.write_text(json.dumps({"documents": documents, "digest": digest}))
    return file


@pytest.mark.parametrize("by", ["a start", "a build"])
def test_deletions_of_an_earlier_version_are_taken_over_and_hold(home: Path, by: str) -> None:
    file = earlier(home, {"papers-source:2": 3, "papers-source:0": 1, "papers-source:3": 2})
    catalogue, writer = opened(home, resume=False)
    assert main(catalogue).owners == ["public"]
    if by == "a start":
        writer.resume("main")
    else:
        built(home)
    assert not file.exists()
    assert of(main(catalogue), "papers").keys() == {"papers-source:1"}
    writer.delete(main(catalogue), "papers", "papers-source:1")
    built(home)
    assert of(main(opened(home)[0]), "papers") == {}
    write_source(home, "papers", [*BUILT["papers"], "the elk that was deleted before"])
    built(home)
    assert of(main(opened(home)[0]), "papers") == {}


def test_deletions_of_an_earlier_version_that_are_damaged_take_the_owner_out(home: Path) -> None:
    file = earlier(home, {"papers-source:2": 3})
    file.write_text(file.read_text().replace("2", "1", 1))
    catalogue, writer = opened(home)
    writer.resume("main")
    store = main(catalogue)
    assert store.owners == ["public"]
    assert "restore it from a copy" in store.warnings[0]
    assert file.exists()
    assert "papers/tombstones.json" in built(home).unknown[0]


def test_deletions_of_an_earlier_version_that_are_put_back_take_no_later_one_away(home: Path) -> None:
    """As when an owner's folder is restored from a copy, or one followed what the earlier version advised."""
    file = earlier(home, {"papers-source:2": 2, "a": 1})
    copy = file.read_bytes()
    catalogue, writer = opened(home)
    writer.delete(main(catalogue), "papers", "papers-source:0")
    writer.add(main(catalogue), OWNERS[1], documents({"papers-source:2": "the elk"}))
    head = deletions.read(file.parent.parent).documents["papers"]
    file.write_bytes(copy)
    catalogue, writer = opened(home)
    assert of(main(catalogue), "papers") == {"papers-source:1": BUILT["papers"][1], "papers-source:2": "the elk"}
    assert deletions.read(file.parent.parent).documents["papers"] == head
    earlier(home, {"papers-source:1": 1})
    catalogue, writer = opened(home)
    assert of(main(catalogue), "papers") == {"papers-source:2": "the elk"}
    assert main(catalogue).tombstones["papers"].last == 3
    assert not file.exists()


def test_the_first_deletion_of_another_process_is_no_damage_to_who_reads_meanwhile(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue, writer = opened(home)
    store = main(catalogue)
    known = generation.recorded

    def late(folder: Path) -> bool:  # the other process is done when this one looks whether there is a record
        monkeypatch.undo()
        writer.delete(store, "papers", "papers-source:0")
        return known(folder)

    monkeypatch.setattr(deletions, "recorded", late)
    assert deletions.read(home / "retrieval" / "main").documents.keys() == {"papers"}


def test_a_change_is_made_also_if_another_process_deletes_an_owners_first_document_meanwhile(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue, writer = opened(home)
    store, read = main(catalogue), deletions.read

    def torn(folder: Path) -> deletions.Deletions:  # the record of before, and then the other's file
        before = read(folder)
        monkeypatch.undo()
        Writer(home / "retrieval", catalogue, HashingEncoder()).delete(store, "papers", "papers-source:0")
        return before

    monkeypatch.setattr(deletions, "read", torn)
    assert writer.delete(store, "papers", "papers-source:1")
    assert of(main(catalogue), "papers").keys() == {"papers-source:2"}


def test_a_merge_of_an_addition_that_was_damaged_since_leaves_all_as_it_is(home: Path) -> None:
    catalogue, writer = opened(home)
    for identity in "ab":
        writer.add(main(catalogue), OWNERS[1], documents({identity: "the ant"}))
    main(catalogue)
    papers = home / "retrieval" / "main" / "papers"
    (papers / "added-00000001-00000001.0" / "manifest.json").write_text("{")
    writer.merge("main", OWNERS[1])
    assert len([*papers.glob("added-*")]) == 2


def test_a_document_is_deleted_also_while_what_it_is_in_is_left_out(home: Path) -> None:
    segment = home / "retrieval" / "main" / "papers" / "source"
    whole = (segment / "texts.zst").read_bytes()
    (segment / "texts.zst").write_bytes(b"x")
    catalogue, writer = opened(home)
    assert main(catalogue).owners == ["public"]
    assert writer.delete(main(catalogue), "papers", "papers-source:1")
    (segment / "texts.zst").write_bytes(whole)
    assert of(main(opened(home)[0]), "papers").keys() == {"papers-source:0", "papers-source:2"}
    assert not writer.delete(main(opened(home)[0]), "papers", "nobody knows it")


def test_a_process_killed_at_a_deletion_leaves_another_generation(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (catalogue, writer), other = opened(home), opened(home)[0]
    assert of(main(other), "papers")

    class Killed(BaseException):
        pass

    renew, calls = generation._renew, []  # the second of a change is the one that a kill prevents

    def killed(folder: Path) -> None:
        calls.append(folder)
        if len(calls) == 2:
            raise Killed
        renew(folder)

    monkeypatch.setattr(generation, "_renew", killed)
    with pytest.raises(Killed):
        writer.delete(main(catalogue), "papers", "papers-source:0")
    monkeypatch.undo()
    assert "papers-source:0" not in of(main(other), "papers")
    assert generation.unmarked(home / "retrieval" / "main")
    writer.resume("main")
    assert not generation.unmarked(home / "retrieval" / "main")


def test_nothing_is_added_to_a_datastore_whose_layout_is_not_known(home: Path) -> None:
    (home / "retrieval" / "main" / "layout.json").write_text("{")
    catalogue, writer = opened(home)
    with pytest.raises(BadLayout):
        writer.add(main(catalogue), OWNERS[1], documents({"a": "the ant"}))


@pytest.mark.parametrize("loss", ["a byte", "all"])
def test_nothing_is_shown_when_the_record_of_what_was_deleted_is_damaged_or_lost(home: Path, loss: str) -> None:
    catalogue, writer = opened(home)
    writer.drop_owner(main(catalogue), "papers")
    record = home / "retrieval" / "main" / RECORD
    if loss == "all":
        record.unlink()
    else:
        record.write_text(record.read_text().replace("papers", "public"))
    catalogue = Catalogue(home / "retrieval", HashingEncoder.card)
    store = main(catalogue)
    assert store.segments == []
    (warning,) = store.warnings
    assert "restore it from a copy" in warning
    with pytest.raises(BadDeletions):
        writer.add(store, OWNERS[0], documents({"a": "the ant"}))
    with pytest.raises(BadDeletions):
        built(home)


def test_a_damaged_addition_is_named_and_left_out(home: Path) -> None:
    catalogue, writer = opened(home)
    writer.add(main(catalogue), OWNERS[1], documents({"a": "the ant"}))
    (place,) = (home / "retrieval" / "main" / "papers").glob("added-*")
    (place / "texts.zst").write_bytes(b"x")
    store = main(opened(home)[0])
    assert of(store, "papers").keys() == {"papers-source:0", "papers-source:1", "papers-source:2"}
    assert place.name in store.warnings[0]


@pytest.mark.parametrize(("part", "left"), [("texts.zst", {"papers-source:1", "papers-source:2"}), ("keys.npy", set())])
def test_what_a_damaged_addition_replaced_does_not_come_back(home: Path, part: str, left: set[str]) -> None:
    catalogue, writer = opened(home)
    writer.add(main(catalogue), OWNERS[1], documents({"papers-source:0": "redacted"}))
    (place,) = (home / "retrieval" / "main" / "papers").glob("added-*")
    (place / part).write_bytes(b"x")
    store = main(opened(home)[0])
    assert of(store, "papers").keys() == left
    assert any(part in warning for warning in store.warnings)


def test_metadata_comes_back_with_the_passage(home: Path) -> None:
    catalogue, writer = opened(home)
    (document,) = documents({"a": "the quokka"})
    writer.add(main(catalogue), OWNERS[1], [replace(document, metadata={"year": 2020, "open": True, "field": "x"})])
    (segment, again) = main(catalogue).document("a", ["papers"]) or pytest.fail("it is not there")
    assert again.metadata == {"year": 2020, "open": True, "field": "x"}
    assert segment.passages.passage(0).metadata == again.metadata


def test_what_a_killed_writer_left_behind_goes_when_the_next_one_starts(home: Path) -> None:
    catalogue, writer = opened(home)
    for identity in "ab":
        writer.add(main(catalogue), OWNERS[1], documents({identity: "the ant"}))
    papers = home / "retrieval" / "main" / "papers"
    kept = [shutil.copytree(place, home / place.name) for place in papers.glob("added-*")]
    writer.merge("main", OWNERS[1])
    for copy in kept:  # killed after the merged segment was there, before the old ones were gone
        shutil.copytree(copy, papers / copy.name)
    (papers.parent / ".adding-1" / "segment").mkdir(parents=True)
    expected = of(main(catalogue), "papers")
    again, _ = opened(home)
    assert of(main(again), "papers") == expected
    assert len([*papers.glob("added-*")]) == 1
    assert not [*papers.parent.glob(".adding-*")]


def test_of_additions_those_count_that_no_other_replaces() -> None:
    spans = [Span(1, 1), Span(2, 2), Span(1, 2), Span(3, 3), Span(3, 3, 1), Span(5, 5)]
    assert current(spans) == [Span(1, 2), Span(3, 3, 1), Span(5, 5)]
    assert all(Span.parse(span.name) == span for span in spans)
