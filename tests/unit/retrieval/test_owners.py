"""Leaving an owner out equals never having had them, for every index."""

import random
from itertools import chain, combinations
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.retrieval.datastore.opened import Datastore
from services.retrieval.search import Effort, Found, Options, search
from tests.retrieval_support import HashingEncoder, datastore

Stores = dict[frozenset[str], Datastore]
WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]
OWNERS = ["news", "papers", "public"]
SUBSETS = [frozenset(kept) for kept in chain.from_iterable(combinations(OWNERS, size) for size in range(4))]
EVERYONE = frozenset(OWNERS)

subsets = st.sampled_from(SUBSETS)
queries = st.lists(st.sampled_from([*WORDS, "unheard"]), min_size=1, max_size=8).map(" ".join)
quickly = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=["flat", "inverted files"])
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """For each set of owners, a datastore of their texts alone. Many texts are the same: scores tie."""
    choose = random.Random(0)
    texts = {
        name: [" ".join(choose.choices(WORDS, k=choose.randint(1, 5))) for _ in range(1200 if name == "news" else 5)]
        for name in OWNERS
    }
    return {
        kept: datastore(
            tmp_path_factory.mktemp("home"),
            {name: texts[name] for name in OWNERS if name in kept},
            flat_below=1000 if request.param == "inverted files" else 50_000,
        )
        for kept in SUBSETS
        if kept
    }


def find(store: Datastore, owners: frozenset[str], query: str, options: Options) -> list[Found]:
    return search(store.of(owners), HashingEncoder(), [query], options, Effort())[0]


@pytest.mark.parametrize("index", ["compactds", "leann", "bm25", "hybrid"])
@quickly
@given(kept=subsets.filter(bool), query=queries, k=st.integers(1, 12))
def test_a_search_with_owners_left_out_is_one_of_a_datastore_without_them(
    index: Literal["compactds", "leann", "bm25", "hybrid"], stores: Stores, kept: frozenset[str], query: str, k: int
) -> None:
    options = Options(index, k, candidates=max(k, 8), recompute=20)
    found = find(stores[EVERYONE], kept, query, options)
    # whoever is left out of a request, public owners were there when the codebook was trained
    without = stores[kept | {"public"}] if index == "leann" else stores[kept]
    assert found == find(without, kept, query, options)
    assert {passage.owner for passage in found} <= kept


@quickly
@given(kept=subsets, query=queries, k=st.integers(1, 12))
def test_as_many_passages_come_back_whoever_is_left_out(
    stores: Stores, kept: frozenset[str], query: str, k: int
) -> None:
    there = sum(segment.manifest.passages for segment in stores[EVERYONE].of(kept))
    options = Options("compactds", k, k, nprobe=1000)
    assert len(find(stores[EVERYONE], kept, query, options)) == min(k, there)


@settings(quickly, max_examples=6)
@given(query=queries)
def test_every_score_of_a_passage_is_that_of_the_index_alone(stores: Stores, query: str) -> None:
    everything = 2000  # so that no index cuts off what another found
    alone = {
        stage: {found.passage.id: found.scores for found in find(stores[EVERYONE], EVERYONE, query, options)}
        for stage, options in {
            "exact": Options("compactds", everything, everything, nprobe=1000),
            "bm25": Options("bm25", everything, everything),
        }.items()
    }
    for found in find(stores[EVERYONE], EVERYONE, query, Options("hybrid", 10, everything, nprobe=1000)):
        expected = alone["exact"].get(found.passage.id, {}) | alone["bm25"].get(found.passage.id, {})
        assert {stage: score for stage, score in found.scores.items() if stage != "fused"} == expected
