"""Filters against what they say, document by document; and hidden or unwanted passages in every index."""

import operator
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.retrieval.compactds import ann
from services.retrieval.compactds.ann import Reach
from services.retrieval.compactds.search import Queries, Vectors, scan
from services.retrieval.datastore.columns import FILE, Columns
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.opened import Datastore
from services.retrieval.filters import BadFilter, parse
from services.retrieval.search import LAST, Effort, Found, Options, Stage, search
from tests.retrieval_support import HashingEncoder, built, opened, owner, write_lines

NAMES = ["year", "open", "field"]
VALUES: list[Any] = [True, False, 1, 0, 2.5, -1, "a", "b", ""]
values = st.sampled_from(VALUES)
metadata = st.dictionaries(st.sampled_from(NAMES), values, max_size=3)
fields = st.sampled_from([f"metadata.{name}" for name in NAMES])
ordered = st.sampled_from([1, 0, 2.5, "a", "b"])
comparisons = st.one_of(
    values,
    st.lists(values, min_size=1, max_size=3),
    st.builds(lambda kind, value: {kind: value}, st.sampled_from(["eq", "ne"]), values),
    st.builds(lambda kind, value: {kind: value}, st.sampled_from(["lt", "lte", "gt", "gte"]), ordered),
    st.builds(lambda value: {"exists": value}, st.booleans()),
    st.builds(lambda low, high: {"gte": low, "lt": high}, ordered, ordered),
)
filters = st.recursive(
    st.dictionaries(fields, comparisons, min_size=1, max_size=2),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=5,
)
ORDER = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge}


def kind(value: object) -> str:
    return "bool" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def same(one: object, other: object) -> bool:
    return kind(one) == kind(other) and one == other


def passes(wanted: dict[str, Any], known: dict[str, Any]) -> bool:
    """What a filter says, word by word."""
    return all(member(name, said, known) for name, said in wanted.items())


def member(name: str, said: Any, known: dict[str, Any]) -> bool:
    if name == "all":
        return all(passes(part, known) for part in said)
    if name == "any":
        return any(passes(part, known) for part in said)
    if name == "not":
        return not passes(said, known)
    key = name.removeprefix("metadata.")
    if not isinstance(said, dict):
        return key in known and any(same(known[key], one) for one in (said if isinstance(said, list) else [said]))
    return all(compared(how, value, known.get(key), key in known) for how, value in said.items())


def compared(how: str, value: Any, mine: Any, there: bool) -> bool:
    if how == "exists":
        return there is value
    if not there or how in ("eq", "ne"):
        return there and same(mine, value) == (how == "eq")
    return kind(mine) == kind(value) and bool(ORDER[how](mine, value))


@settings(deadline=None, max_examples=400)
@given(st.lists(metadata, max_size=6), st.sampled_from([0, 60]), filters)
def test_the_documents_that_pass_are_those_that_the_filter_means(
    tmp_path_factory: pytest.TempPathFactory, known: list[dict[str, Any]], others: int, wanted: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("columns")
    known = [*known, *[{}] * others]  # among many others that say nothing, a name is rare
    Columns.write(folder, [Document(str(n), "x", "", "s", "MIT", metadata=part) for n, part in enumerate(known)])
    assert Columns(folder).passing(parse(wanted)).tolist() == [passes(wanted, part) for part in known]


def test_as_many_names_as_documents_take_no_more_room_and_time_than_one(tmp_path: Path) -> None:
    few = [Document(f"{n:05}", "x", "", "s", "MIT", metadata={"same": n, "year": n % 9}) for n in range(10_000)]
    own = [replace(each, metadata={f"name {n}": n, "year": n % 9}) for n, each in enumerate(few)]
    sizes = []
    for documents in (few, own):
        Columns.write(tmp_path, documents)
        sizes.append((tmp_path / FILE).stat().st_size)
    assert sizes[1] < 3 * sizes[0]
    columns = Columns(tmp_path)
    assert np.flatnonzero(columns.passing(parse({"metadata.name 77": {"gte": 77}}))).tolist() == [77]
    assert columns.passing(parse({"metadata.name 77": {"exists": False}, "metadata.year": 3})).sum() == 1111
    assert not columns.passing(parse({"metadata.name": 77})).any()


def test_true_and_one_are_two_filters_also_for_a_cache() -> None:
    assert parse({"metadata.open": True}) != parse({"metadata.open": 1}) != parse({"metadata.open": 1.0})


def test_a_filter_has_an_end() -> None:
    with pytest.raises(BadFilter, match="at most 1000"):
        parse({"any": [{"source": str(number)} for number in range(2000)]})


def test_a_number_that_is_no_exact_float_is_kept_and_found(tmp_path: Path) -> None:
    Columns.write(tmp_path, [Document("a", "x", "", "s", "MIT", metadata={"n": 2**53 + 1})])
    assert Columns(tmp_path).passing(parse({"metadata.n": 2**53 + 1})).all()
    with pytest.raises(BadFilter):
        parse({"metadata.n": 10**400})


def test_a_document_is_known_by_its_fields_too(tmp_path: Path) -> None:
    documents = [Document("a", "x", "T", "s", "MIT", "u"), Document("b", "x", "", "r", "CC0-1.0")]
    Columns.write(tmp_path, documents)
    for wanted in (
        {"document": "a"},
        {"title": "T"},
        {"source": ["s", "q"]},
        {"licence": {"ne": "CC0-1.0"}},
        {"url": {"exists": True}},
    ):
        assert Columns(tmp_path).passing(parse(wanted)).tolist() == [True, False]


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ({}, "filter"),
        ({"owner": "papers"}, "filter.owner"),
        ({"metadata.": 1}, "filter.metadata."),
        ({"year": 1}, "filter.year"),
        ({"source": {}}, "filter.source"),
        ({"source": None}, "filter.source"),
        ({"source": []}, "filter.source"),
        ({"source": [None]}, "filter.source.0"),
        ({"source": {"like": "x"}}, "filter.source.like"),
        ({"source": {"exists": 1}}, "filter.source.exists"),
        ({"metadata.year": {"lt": True}}, "filter.metadata.year.lt"),
        ({"metadata.year": float("inf")}, "filter.metadata.year"),
        ({"any": []}, "filter.any"),
        ({"any": [{"source": "x"}, {"owner": "x"}]}, "filter.any.1.owner"),
        ({"not": [{"source": "x"}]}, "filter.not"),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(wanted: dict[str, Any], place: str) -> None:
    with pytest.raises(BadFilter) as refusal:
        parse(wanted)
    assert refusal.value.place == place


def test_a_filter_may_not_be_nested_without_end() -> None:
    wanted: dict[str, Any] = {"source": "x"}
    for _ in range(1000):
        wanted = {"not": wanted}
    with pytest.raises(BadFilter):
        parse(wanted)


WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]
COUNT = 1500


@pytest.fixture(scope="module", params=["flat", "inverted files"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Datastore:
    home = tmp_path_factory.mktemp("home")
    choose = random.Random(0)
    lines = [
        {"id": f"{n:05}", "text": " ".join(choose.choices(WORDS, k=9)), "metadata": {"n": n}} for n in range(COUNT)
    ]
    write_lines(home / "texts" / "public" / "source.jsonl", lines)
    built(home, [owner("public", public=True)], flat_below=1000 if request.param == "inverted files" else 50_000)
    return opened(home)


def find(store: Datastore, query: str, options: Options) -> list[Found]:
    return search(store.segments, HashingEncoder(), [query], options, Effort())[0]


@pytest.mark.parametrize("index", ["compactds", "leann", "bm25", "hybrid"])
@pytest.mark.parametrize("passing", [150, 15, 2, 0])
def test_of_what_passes_the_filter_as_many_are_found_as_without_one(store: Datastore, index: Any, passing: int) -> None:
    wanted = parse({"metadata.n": {"lt": passing}})
    for query in ("ant bee", "cat", "dog elk fox"):
        found = find(store, query, Options(index, 10, 1500, 16, 1500, 1.0, wanted))
        assert all(passage.passage.metadata["n"] < passing for passage in found)  # type: ignore[operator]
        everything = find(store, query, Options(index, COUNT, COUNT, 512, COUNT, 1.0))
        best: dict[str, float] = {}
        for each in everything:
            if each.passage.metadata["n"] < passing:  # type: ignore[operator]
                best[each.passage.id] = each.scores[LAST[index]]
        if index == "hybrid":
            best = fused(everything, best)
        expected = sorted(best.values(), reverse=True)[:10]
        assert [passage.scores[LAST[index]] for passage in found] == pytest.approx(expected, rel=1e-12)
        assert bool(found) == bool(passing) or index == "bm25"


def fused(everything: list[Found], passing: Iterable[str]) -> dict[str, float]:
    """The mean of both scores of those that pass, each between 0, or the least if that is below, and 1."""
    sums = dict.fromkeys(passing, 0.0)
    stages: list[Stage] = ["exact", "bm25"]
    for stage in stages:
        scores = {each.passage.id: each.scores[stage] for each in everything if stage in each.scores}
        scores = {identity: score for identity, score in scores.items() if identity in sums}
        floor = min([0.0, *scores.values()])
        for identity, score in scores.items():
            sums[identity] += (score - floor) / (max(scores.values()) - floor) / 2
    return sums


def test_the_filters_that_were_used_last_are_kept(store: Datastore) -> None:
    (segment,) = store.segments
    often, *others = [parse({"metadata.n": number}) for number in range(17)]
    passing = segment.passing(often)
    for each in others:
        segment.passing(each)
        assert segment.passing(often) is passing


def test_a_selector_finds_what_a_scan_finds_when_every_list_is_read(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    vectors: NDArray[np.float16] = draw.normal(size=(3000, 16)).astype(np.float16)
    queries = draw.normal(size=(20, 16)).astype(np.float32)
    allowed = draw.random(3000) < 0.3
    scanned = scan([Vectors(None, vectors, vectors)], Queries(queries, queries), 10, [allowed])
    for flat_below in (10_000, 100):
        ann.build(vectors, tmp_path, flat_below)
        rows = ann.search(ann.load(vectors, tmp_path), queries, Reach(300, 4096), allowed)[1]
        assert allowed[rows[rows >= 0]].all()
        found = [len({*scanned[query].rows.tolist()} & {*rows[query].tolist()}) for query in range(len(queries))]
        assert np.mean(found) >= 9.5


def test_diversity_gives_one_of_many_that_are_alike(store: Datastore) -> None:
    plain = find(store, "ant bee", Options("compactds", 10, 200))
    spread = find(store, "ant bee", Options("compactds", 10, 200, diversity=0.7))
    assert spread[0].passage.id == plain[0].passage.id
    assert similarity(spread) < similarity(plain)
    assert find(store, "ant bee", Options("compactds", 10, 200, diversity=0.0)) == plain


def similarity(found: list[Found]) -> float:
    vectors = HashingEncoder().encode([each.passage.text for each in found])
    return float((vectors @ vectors.T).mean())


@pytest.mark.parametrize("index", ["compactds", "leann", "bm25", "hybrid"])
def test_no_passage_is_given_below_the_score_asked_for(store: Datastore, index: Any) -> None:
    stage: Any = {"compactds": "exact", "leann": "exact", "bm25": "bm25", "hybrid": "fused"}[index]
    every = find(store, "ant bee", Options(index, 10, 100))
    least = every[4].scores[stage]
    some = find(store, "ant bee", Options(index, 10, 100, min_score=least))
    assert some == [each for each in every if each.scores[stage] >= least]
    assert len(some) >= 5
