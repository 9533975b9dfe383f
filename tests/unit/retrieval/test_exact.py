"""A second encoder for the exact stage, against brute force over its vectors; and encoders that change."""

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.retrieval.compactds import search as compactds
from services.retrieval.datastore import layout
from services.retrieval.datastore.build import NothingToBuild, Report, Sizes, build
from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.manifest import INDEXES, BadIndexes, EncoderStamp
from services.retrieval.datastore.opened import Datastore
from services.retrieval.datastore.segment import EXACT, VECTORS
from services.retrieval.datastore.writer import Writer
from services.retrieval.encoders.base import Card, Loadable
from services.retrieval.errors import IndexNotBuilt
from services.retrieval.filters import parse
from services.retrieval.search import Effort, Found, Options, search
from services.retrieval.service import Retrieval
from shared.contracts.retrieval import Index, SearchRequest
from tests.retrieval_support import HashingEncoder, SecondEncoder, owner, write_lines, write_source

OWNERS = [owner("public", public=True), owner("papers")]
WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]
EVERY = 400
INDEXES_SEARCHED: list[Index] = ["compactds", "leann", "bm25", "hybrid"]
STAMP = EncoderStamp.of(SecondEncoder.card)


class Counting(HashingEncoder):
    """Remembers what it embedded."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        self.texts += texts
        return super().encode(texts, progress)


class CountingSecond(SecondEncoder, Counting):
    """The second, which remembers as well."""


class Newer(Counting):
    """The first of another revision: every vector is another."""

    card = replace(HashingEncoder.card, revision="2")

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        return super().encode([f"new {text}" for text in texts], progress)

    encode_queries = encode_alone = encode


def make(home: Path, encoder: Any = None, second: Any = None, **options: Any) -> tuple[Report, list[str], list[str]]:
    """The report, and what each encoder embedded; `second` is None for none."""
    first = encoder or Counting()
    exact = Loadable(second.card, lambda: second) if second else None
    sizes = Sizes(flat_below=options.pop("flat_below", 50_000))
    report = build(home, OWNERS, first.card, lambda: first, lambda _: None, exact=exact, sizes=sizes, **options)
    return report, first.texts, second.texts if second else []


def write(home: Path) -> None:
    choose = random.Random(0)
    for name, count in {"public": 300, "papers": 60}.items():
        lines = [
            {"id": f"{name}-{number:04}", "text": " ".join(choose.choices(WORDS, k=9)), "metadata": {"n": number}}
            for number in range(count)
        ]
        write_lines(home / "texts" / name / "source.jsonl", lines)


def catalogue(home: Path, card: Card = HashingEncoder.card) -> Catalogue:
    return Catalogue(home / "retrieval", card)


def main(home: Path, card: Card = HashingEncoder.card) -> Datastore:
    found = catalogue(home, card).get("main")
    assert found
    return found


def writer(home: Path) -> Writer:
    return Writer(home / "retrieval", catalogue(home), HashingEncoder(), lambda stamp: SecondEncoder())


def add(home: Path, texts: dict[str, str]) -> None:
    documents = [Document(identity, text, "", "added", "MIT", metadata={"n": 0}) for identity, text in texts.items()]
    writer(home).add(main(home), OWNERS[1], documents)


def find(store: Datastore, query: str, options: Options) -> list[Found]:
    (found,) = search(store.segments, HashingEncoder(), [query], options, Effort(), exact=SecondEncoder())
    return found


def brute(store: Datastore, query: str, *, below: int | None = None) -> dict[str, float]:
    """By passage, the inner product of the query with the second encoder's vector in 16 bits; best first."""
    asked = SecondEncoder().encode_queries([query])[0]
    scores = {}
    for segment in store.segments:
        every = [segment.passages.passage(row) for row in range(len(segment.passages))]
        vectors = SecondEncoder().encode([passage.text for passage in every]).astype(np.float16).astype(np.float32)
        products = np.einsum("nd,d->n", vectors, asked).tolist()
        for row, (passage, score) in enumerate(zip(every, products, strict=True)):
            shown = segment.alive is None or segment.alive[row]
            if shown and (below is None or passage.metadata["n"] < below):  # type: ignore[operator]
                scores[passage.id] = score
    return dict(sorted(scores.items(), key=lambda each: -each[1]))


def exact(found: Sequence[Found]) -> dict[str, float]:
    return {each.passage.id: each.scores["exact"] for each in found}


@pytest.fixture(scope="module", params=["flat", "inverted files"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write(home)
    make(home, second=CountingSecond(), flat_below=50 if request.param == "inverted files" else 50_000)
    return home


@pytest.mark.parametrize("query", ["ant bee", "cat", "dog elk fox"])
def test_with_all_as_candidates_it_is_brute_force_by_the_second_encoder_to_the_last_bit(home: Path, query: str) -> None:
    store = main(home)
    found = find(store, query, Options("compactds", EVERY, EVERY, nprobe=EVERY))
    assert exact(found) == brute(store, query)
    assert [each.scores["exact"] for each in found] == [*brute(store, query).values()]


def test_of_few_candidates_those_of_the_first_are_ordered_by_the_second(home: Path) -> None:
    store = main(home)
    asked, wanted = HashingEncoder().encode_queries(["ant bee"])[0], brute(store, "ant bee")
    found = find(store, "ant bee", Options("compactds", 5, 20))
    for each in found:
        of_first = HashingEncoder().encode([each.passage.text])[0].astype(np.float16).astype(np.float32)
        assert each.scores["ann"] == pytest.approx(float(of_first @ asked), abs=0.2)  # codes of 4 bits are coarse
        assert each.scores["exact"] == wanted[each.passage.id]
    ranked = find(store, "ant bee", Options("compactds", 20, 20))
    assert [each.passage.id for each in ranked[:5]] == [each.passage.id for each in found]
    assert {*exact(ranked)} != {*list(wanted)[:20]}, "the first encoder had no say"


@pytest.mark.parametrize("below", [200, 20, 1])
def test_what_a_filter_leaves_is_all_scored_by_the_second(home: Path, below: int) -> None:
    store = main(home)
    options = Options("compactds", 5, 5, filter=parse({"metadata.n": {"lt": below}}))
    best = [*brute(store, "ant bee", below=below).values()][:5]
    found = find(store, "ant bee", options)
    assert [each.scores["exact"] for each in found] == best
    asked = HashingEncoder().encode_queries(["ant bee"])[0]
    texts = [each.passage.text for each in found]
    vectors = HashingEncoder().encode(texts).astype(np.float16).astype(np.float32)
    assert [each.scores["ann"] for each in found] == np.einsum("nd,d->n", vectors, asked).tolist()


def test_a_filter_that_leaves_too_many_to_score_is_the_index_s(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compactds, "SCANNED", 10)
    store = main(home)
    options = Options("compactds", EVERY, EVERY, nprobe=EVERY, filter=parse({"metadata.n": {"lt": 50}}))
    assert exact(find(store, "ant bee", options)) == brute(store, "ant bee", below=50)


def test_a_least_score_and_the_hybrid_go_by_the_second(home: Path) -> None:
    store = main(home)
    wanted = [*brute(store, "ant bee").values()]
    found = find(store, "ant bee", Options("compactds", EVERY, EVERY, nprobe=EVERY, min_score=wanted[9]))
    assert [each.scores["exact"] for each in found] == [score for score in wanted if score >= wanted[9]]
    hybrid = find(store, "ant bee", Options("hybrid", EVERY, EVERY, nprobe=EVERY))
    spread, most = wanted[0] - min(0.0, wanted[-1]), max(each.scores.get("bm25", 0) for each in hybrid)
    for each in hybrid:
        scaled = (each.scores["exact"] - min(0.0, wanted[-1])) / spread
        assert each.scores["fused"] == pytest.approx((scaled + each.scores.get("bm25", 0) / most) / 2)


@pytest.mark.parametrize("index", INDEXES_SEARCHED)
def test_diversity_works_by_every_index(home: Path, index: Any) -> None:
    plain = find(main(home), "ant bee", Options(index, 10, 100, recall=1))
    spread = find(main(home), "ant bee", Options(index, 10, 100, recall=1, diversity=0.7))
    assert spread[0].passage.id == plain[0].passage.id
    assert len(spread) == 10
    vectors = [SecondEncoder().encode([each.passage.text for each in found]) for found in (spread, plain)]
    likeness = [float((each @ each.T).mean()) for each in vectors]
    assert likeness[0] < likeness[1]


def test_an_owner_left_out_leaves_no_trace(home: Path, tmp_path: Path) -> None:
    write(tmp_path)
    shutil.rmtree(tmp_path / "texts" / "papers")
    make(tmp_path, second=CountingSecond(), flat_below=50 if list(home.rglob("ann.faiss")) else 50_000)
    for index in INDEXES_SEARCHED:
        options = Options(index, 10, 20)
        (left_out,) = search(
            main(home).of(["public"]), HashingEncoder(), ["ant"], options, Effort(), exact=SecondEncoder()
        )
        assert left_out == find(main(tmp_path), "ant", options)


def test_nothing_is_embedded_twice_when_a_second_encoder_comes_and_goes(tmp_path: Path) -> None:
    write(tmp_path)
    _, first, _ = make(tmp_path)
    _, again, second = make(tmp_path, second=CountingSecond())
    assert (len(first), again, len(second)) == (360, [], 360)
    report, *embedded = make(tmp_path, second=CountingSecond())
    assert (len(report.unchanged), embedded) == (2, [[], []])
    assert main(tmp_path).layout.exact == STAMP
    _, *embedded = make(tmp_path)
    assert embedded == [[], []]
    assert not [*tmp_path.rglob(EXACT)]
    assert main(tmp_path).layout.exact is None


def test_vectors_of_an_encoder_stay_when_it_changes_its_stage(tmp_path: Path) -> None:
    write(tmp_path)
    make(tmp_path, CountingSecond())
    _, first, second = make(tmp_path, second=CountingSecond())
    assert (len(first), second) == (360, [])
    assert exact(find(main(tmp_path), "ant", Options("compactds", EVERY, EVERY))) == brute(main(tmp_path), "ant")


def test_until_all_is_built_the_first_encoder_s_scores_are_given(tmp_path: Path) -> None:
    write(tmp_path)
    make(tmp_path)

    class Killed(CountingSecond):
        def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
            if len(self.texts) >= 300:
                raise KeyboardInterrupt
            return super().encode(texts, progress)

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, second=Killed())
    store = main(tmp_path)
    assert (store.layout.exact, store.owners) == (None, ["papers", "public"])
    (found,) = search(store.segments, HashingEncoder(), ["ant"], Options("compactds", 9, 9), Effort())
    assert all(each.scores["ann"] == pytest.approx(each.scores["exact"], abs=1e-5) for each in found)
    _, first, second = make(tmp_path, second=CountingSecond())
    assert (first, len(second)) == ([], 60), "what was embedded before the kill is not embedded again"


def test_from_one_second_encoder_to_another_everything_is_shown_all_the_time(tmp_path: Path) -> None:
    for name in ("public", "papers"):
        write_source(tmp_path, name, ["the ant"])
    make(tmp_path, second=CountingSecond())
    shown: list[list[str]] = []

    class Third(CountingSecond):
        card = replace(SecondEncoder.card, name="third")

        def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
            shown.append(main(tmp_path).owners)
            return super().encode(texts, progress)

    make(tmp_path, second=Third())
    assert shown == [["papers", "public"]] * 2
    assert main(tmp_path).layout.exact == EncoderStamp.of(Third.card)


def test_a_segment_without_vectors_of_the_second_is_named_and_left_out_until_it_is_built(tmp_path: Path) -> None:
    write(tmp_path)
    make(tmp_path, second=CountingSecond())
    place = tmp_path / "retrieval" / "main" / "papers" / "source"
    other = tmp_path / "other"
    write(other)
    make(other)
    shutil.rmtree(place)
    shutil.copytree(other / "retrieval" / "main" / "papers" / "source", place)
    store = main(tmp_path)
    assert store.owners == ["public"]
    (warning,) = store.warnings
    assert "papers/source: it has no vectors of second 1, which gives the exact scores" in warning
    assert "`candor data build`" in warning
    make(tmp_path, second=CountingSecond())
    assert (main(tmp_path).owners, main(tmp_path).warnings) == (["papers", "public"], [])


def test_without_its_second_encoder_a_datastore_says_so_and_shows_nothing(home: Path) -> None:
    found = Catalogue(home / "retrieval", HashingEncoder.card, lambda _: False).get("main")
    assert found
    assert found.segments == []
    assert "--exact none" in found.warnings[0]


def test_a_damaged_layout_is_named(tmp_path: Path) -> None:
    write_source(tmp_path, "public", ["the ant"])
    make(tmp_path)
    (tmp_path / "retrieval" / "main" / layout.FILE).write_text("{")
    assert main(tmp_path).segments == []
    assert "layout.json is damaged" in main(tmp_path).warnings[0]


def test_exact_scores_need_vectors_on_disk(tmp_path: Path) -> None:
    write_source(tmp_path, "public", ["the ant"])
    with pytest.raises(BadIndexes, match="--exact none"):
        make(tmp_path, second=CountingSecond(), indexes=["leann", "bm25"])


def test_additions_merges_and_drops_carry_both(tmp_path: Path) -> None:
    write(tmp_path)
    make(tmp_path, second=CountingSecond())
    for identity in "abcd":
        add(tmp_path, {identity: f"{identity} ant bee", "papers-0000": f"gnu {identity}"})
    options = Options("compactds", EVERY, EVERY)
    for _ in range(2):
        store = main(tmp_path)
        assert not store.warnings
        assert exact(find(store, "ant bee", options)) == brute(store, "ant bee")
        assert {"a#0", "b#0", "c#0", "d#0"} < brute(store, "ant bee").keys()
        writer(tmp_path).merge("main", OWNERS[1])
    assert len(main(tmp_path).of(["papers"])) == 2
    writer(tmp_path).drop_owner(main(tmp_path), "papers")
    assert exact(find(main(tmp_path), "ant", options)) == brute(main(tmp_path), "ant")
    assert not [*(tmp_path / "retrieval" / "main").glob("papers*")]


def test_what_is_added_or_merged_while_a_build_brings_a_second_encoder_has_it(tmp_path: Path) -> None:
    write(tmp_path)
    make(tmp_path)
    add(tmp_path, {"a": "the ant"})
    add(tmp_path, {"b": "the bee"})

    class Meanwhile(HashingEncoder):
        def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
            if main(tmp_path).layout.exact is None:
                make(tmp_path, second=CountingSecond())
            return super().encode(texts, progress)

        encode_queries = encode_alone = encode

    def adding() -> Writer:
        return Writer(tmp_path / "retrieval", catalogue(tmp_path), Meanwhile(), lambda stamp: SecondEncoder())

    adding().add(main(tmp_path), OWNERS[1], [Document("c", "the cat", "", "added", "MIT")])
    make(tmp_path)
    stale = catalogue(tmp_path)
    before = stale.get("main")
    stale.get = lambda name: before  # type: ignore[method-assign]
    make(tmp_path, second=CountingSecond())
    Writer(tmp_path / "retrieval", stale, HashingEncoder(), lambda stamp: SecondEncoder()).merge("main", OWNERS[1])
    store = main(tmp_path)
    assert not store.warnings
    assert {"a#0", "b#0", "c#0"} < exact(find(store, "ant", Options("compactds", EVERY, EVERY))).keys()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_done_in_whatever_order_exact_scores_are_brute_force_over_what_is_there(
    tmp_path: Path, seed: int
) -> None:
    write_source(tmp_path, "public", ["the ant and the bee"])
    write_source(tmp_path, "papers", ["the ant", "the bee and the cat", "the dog"])
    draw = random.Random(seed)
    make(tmp_path, second=CountingSecond())
    identities = [f"papers-source:{number}" for number in range(4)] + ["a", "b"]
    for _ in range(12):
        what, identity = draw.choice(["add", "add", "delete", "merge", "build", "one", "two"]), draw.choice(identities)
        if what == "add":
            add(tmp_path, {identity: " ".join(draw.choices(WORDS, k=5))})
        elif what == "delete":
            writer(tmp_path).delete(main(tmp_path), "papers", identity)
        elif what == "merge":
            writer(tmp_path).merge("main", OWNERS[1])
        else:
            make(tmp_path, second=None if what == "one" else CountingSecond())
        store = main(tmp_path)
        assert not store.warnings
        if store.layout.exact:
            assert exact(find(store, "ant bee", Options("compactds", EVERY, EVERY))) == brute(store, "ant bee")


def test_a_deleted_document_changes_nothing_for_the_others(tmp_path: Path) -> None:
    """To leave rows out must not turn a search by the first encoder into one by the second."""
    write(tmp_path)
    make(tmp_path, second=CountingSecond())
    options = Options("compactds", 5, 10)
    before = find(main(tmp_path), "ant bee", options)
    last = find(main(tmp_path), "ant bee", Options("compactds", EVERY, EVERY))
    far = min(last, key=lambda each: each.scores["ann"])
    writer(tmp_path).delete(main(tmp_path), far.owner, far.passage.document)
    after = find(main(tmp_path), "ant bee", options)
    assert exact(after) == exact(before)


def test_additions_that_lack_vectors_of_the_second_get_them_from_the_build(tmp_path: Path) -> None:
    write(tmp_path)
    make(tmp_path)
    add(tmp_path, {"a": "the ant", "b": "the bee"})
    _, first, second = make(tmp_path, second=CountingSecond())
    assert first == []
    assert {"the ant", "the bee"} < {*second}
    store = main(tmp_path)
    assert not store.warnings
    assert exact(find(store, "ant", Options("compactds", EVERY, EVERY))) == brute(store, "ant")


def test_what_was_added_under_another_encoder_is_embedded_anew_by_the_build_the_warning_advises(tmp_path: Path) -> None:
    write(tmp_path)
    make(tmp_path)
    add(tmp_path, {"a": "the quokka", "papers-0000": "the bee"})
    add(tmp_path, {"b": "the cat"})
    writer(tmp_path).delete(main(tmp_path), "papers", "b")
    before = main(tmp_path, Newer.card)
    assert any("added-00000001" in warning and "`candor data build`" in warning for warning in before.warnings)
    make(tmp_path, Newer())
    store = main(tmp_path, Newer.card)
    assert not store.warnings
    shown = {document.id: document.text for segment in store.of(["papers"]) for document in segment.kept()}
    assert (shown["a"], shown["papers-0000"], len(shown)) == ("the quokka", "the bee", 61)
    for index in INDEXES_SEARCHED:
        options = Options(index, 10, 100)
        (found,) = search(store.segments, Newer(), ["the quokka"], options, Effort())
        assert "a" in {each.passage.document for each in found}
    assert not [*(tmp_path / "retrieval").rglob(".unfinished-*")]
    report, embedded, _ = make(tmp_path, Newer())
    assert (len(report.unchanged), embedded) == (2, [])


def test_a_build_killed_while_it_embeds_additions_anew_goes_on_and_loses_none(tmp_path: Path) -> None:
    write(tmp_path)
    make(tmp_path)
    add(tmp_path, {"a": "the quokka"})
    papers = tmp_path / "retrieval" / "main" / "papers"
    (old,) = papers.glob("added-*")
    shutil.copytree(old, tmp_path / old.name)

    class Killed(Newer):
        def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
            if any("quokka" in text for text in texts):
                raise KeyboardInterrupt
            return super().encode(texts, progress)

        encode_queries = encode_alone = encode

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, Killed())
    _, embedded, _ = make(tmp_path, Newer())
    assert embedded == ["new the quokka"]
    shutil.copytree(tmp_path / old.name, papers / old.name)  # killed when the new one was there, and the old one too
    make(tmp_path, Newer())
    store = main(tmp_path, Newer.card)
    assert store.document("a", ["papers"])
    assert not store.warnings


def test_a_datastore_of_additions_alone_is_embedded_anew_too(tmp_path: Path) -> None:
    write_source(tmp_path, "papers", ["the dog"])
    make(tmp_path)
    add(tmp_path, {"a": "the ant"})
    shutil.rmtree(tmp_path / "texts")
    with pytest.raises(NothingToBuild):
        make(tmp_path)
    shutil.rmtree(tmp_path / "retrieval" / "main" / "papers" / "source")
    make(tmp_path, Newer())
    assert [segment.manifest.passages for segment in main(tmp_path, Newer.card).segments] == [1]


@pytest.mark.parametrize("when", ["before", "after"])
def test_additions_follow_the_indexes_of_their_datastore(tmp_path: Path, when: str) -> None:
    write(tmp_path)
    without = ["leann", "bm25"]
    make(tmp_path, indexes=without if when == "after" else INDEXES)
    add(tmp_path, {"a": "the ant"})
    add(tmp_path, {"b": "the ant hill"})
    if when == "before":
        make(tmp_path, indexes=without)
    for _ in range(2):
        store = main(tmp_path)
        assert not [*(tmp_path / "retrieval").rglob(VECTORS)]
        assert {tuple(segment.manifest.indexes) for segment in store.segments} == {("leann", "bm25")}
        assert not store.warnings
        (found,) = search(store.segments, HashingEncoder(), ["the ant"], Options("leann", 2, 9), Effort())
        assert "a" in {each.passage.document for each in found}
        writer(tmp_path).merge("main", OWNERS[1])
    make(tmp_path)
    assert all(segment.vectors for segment in main(tmp_path).segments), "all indexes are there again"


def test_the_service_shows_both_encoders_and_scores_by_them(home: Path) -> None:
    service = Retrieval(HashingEncoder(), catalogue(home), [], lambda stamp: SecondEncoder())
    (shown,) = service.datastores().data
    assert shown.encoder == "hashing"
    assert shown.encoders.ann.model_dump() == {"name": "hashing", "revision": "1", "dimension": 16, "licence": None}
    assert shown.encoders.exact.model_dump() == {"name": "second", "revision": "1", "dimension": 24, "licence": None}
    assert {segment.exact for segment in shown.segments} == {"second"}
    request = SearchRequest.model_validate({"query": "ant bee", "k": 3, "owners": ["public"]})
    best = brute(main(home), "ant bee")
    for passage in service.search(request).results[0]:
        assert passage.scores.exact == best[passage.id]


def test_a_long_query_is_said_to_be_cut_by_the_encoder_that_cuts_it(home: Path) -> None:
    class Short(SecondEncoder):
        card = replace(SecondEncoder.card, max_tokens=2)

    service = Retrieval(HashingEncoder(), catalogue(home), [], lambda stamp: Short())
    for index, warned in {"compactds": True, "hybrid": True, "bm25": False, "leann": False}.items():
        request = SearchRequest.model_validate({"query": "ant bee cat", "index": index})
        warnings = ["query 0 has 3 tokens; the encoder read the first 2 for its exact scores"] if warned else []
        assert service.search(request).warnings == warnings


def test_an_index_that_is_not_there_is_refused_as_before(tmp_path: Path) -> None:
    write(tmp_path)
    make(tmp_path, indexes=["leann", "bm25"])
    with pytest.raises(IndexNotBuilt):
        Retrieval(HashingEncoder(), catalogue(tmp_path), []).search(SearchRequest.model_validate({"query": "ant"}))
