"""All that is left out at once: owners, documents deleted and replaced, and what a filter excludes.

The answer of the whole service is compared with that of a datastore built without all of it, for every index. One
difference is by design: a filter says what is wanted and not how rare a word is, so BM25 counts words as without one.
There, and in the hybrid, the other datastore lacks the owners and the hidden documents, and is asked with the filter.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.writer import Writer
from services.retrieval.search import LAST
from services.retrieval.service import Retrieval
from shared.contracts.retrieval import SearchRequest
from tests.retrieval_support import HashingEncoder, built, owner, write_lines

OWNERS = ["news", "papers", "public"]
WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]
EACH, ALL = 16, 200
KEPT = [frozenset(kept) for kept in chain.from_iterable(combinations(OWNERS, size) for size in range(1, 4))]
FILTERS: list[dict[str, Any] | None] = [
    None,
    {"metadata.n": {"lt": 9}},
    {"not": {"metadata.n": {"gte": 3, "lt": 12}}},
    {"any": [{"metadata.kind": "odd"}, {"metadata.n": 4}]},
]
queries = st.lists(st.sampled_from([*WORDS, "former"]), min_size=1, max_size=4).map(" ".join)


@dataclass(frozen=True)
class Known:
    """A document as it stands in the end; `deleted`: it does not."""

    id: str
    owner: str
    text: str
    n: int
    deleted: bool

    @property
    def metadata(self) -> dict[str, Any]:
        return {"n": self.n, "kind": "odd" if self.n % 2 else "even"}

    def passes(self, wanted: dict[str, Any] | None) -> bool:
        odd = self.n % 2 == 1
        by_filter = [True, self.n < 9, not 3 <= self.n < 12, odd or self.n == 4]
        return by_filter[FILTERS.index(wanted)]


def known() -> list[Known]:
    """No two texts have the same length: so no two scores are the same, and no order is left to where things stand."""
    draw = random.Random(0)
    made: list[Known] = []
    for name in OWNERS:
        for n in range(EACH):
            text = " ".join(draw.choices(WORDS, k=4 + len(made)))
            made.append(Known(f"{name}-document-{n:02}", name, text, n, deleted=n % 5 == 4))
    return made


DOCUMENTS = known()


class Stores:
    """The datastore with everything, and those built without, as they are first asked for."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._without: dict[frozenset[str], Retrieval] = {}
        home = folder()
        for name in OWNERS:
            mine = [each for each in DOCUMENTS if each.owner == name]
            write(
                home,
                name,
                [(each, f"former {each.text} former" if replaced(each) else each.text) for each in mine[:-2]],
            )
        build(home)
        self.everything, writer, catalogue = opened(home)
        for name in OWNERS:
            mine = [each for each in DOCUMENTS if each.owner == name]
            for part in (mine[0::2], mine[1::2]):
                later = [each for each in part if replaced(each) or each in mine[-2:]]
                store = catalogue.get("main")
                assert store
                made = [Document(each.id, each.text, "", "source", "MIT", None, each.metadata) for each in later]
                writer.add(store, owner(name, public=name == "public"), made)
            for each in mine:
                store = catalogue.get("main")
                assert store
                assert not each.deleted or writer.delete(store, name, each.id)
        assert sum(segment.hidden for store in self.everything.datastores().data for segment in store.segments) >= 12

    def without(self, there: Iterable[Known]) -> Retrieval:
        """A service of a datastore that was built of these documents alone."""
        kept = list(there)
        key = frozenset(each.id for each in kept)
        if key not in self._without:
            home = self._folder()
            for name in {each.owner for each in kept}:
                write(home, name, [(each, each.text) for each in kept if each.owner == name])
            build(home)
            self._without[key], _, _ = opened(home)
        return self._without[key]


def replaced(each: Known) -> bool:
    return each.n % 3 == 0


def write(home: Path, name: str, documents: Iterable[tuple[Known, str]]) -> None:
    lines = [{"id": each.id, "text": text, "metadata": each.metadata} for each, text in documents]
    write_lines(home / "texts" / name / "source.jsonl", lines)


def build(home: Path) -> None:
    built(home, [owner(name, public=name == "public") for name in OWNERS])


def opened(home: Path) -> tuple[Retrieval, Writer, Catalogue]:
    catalogue = Catalogue(home / "retrieval", HashingEncoder.card)
    writer = Writer(home / "retrieval", catalogue, HashingEncoder())
    return Retrieval(HashingEncoder(), catalogue, OWNERS), writer, catalogue


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return Stores(lambda: tmp_path_factory.mktemp("home"))


def asked(service: Retrieval, **body: Any) -> tuple[list[tuple[str, str, float]], str]:
    """Id, text and last score of each passage; and the whole answer as text."""
    request = SearchRequest(candidates=ALL, recompute=ALL, recall=1, **body)
    answer = service.search(request)
    (passages,) = answer.results
    stage = LAST[request.index]
    scored = [(passage.id, passage.text, getattr(passage.scores, stage)) for passage in passages]
    return scored, answer.model_dump_json()


@pytest.mark.parametrize("index", ["compactds", "leann", "bm25", "hybrid"])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kept=st.sampled_from(KEPT),
    wanted=st.sampled_from(FILTERS),
    query=queries,
    k=st.integers(1, 30),
    diversity=st.sampled_from([0, 0.4, 1]),
    least=st.sampled_from([None, 0.2, 0.6]),
)
def test_whatever_is_left_out_the_answer_is_that_of_a_datastore_built_without_it(
    *,
    index: str,
    stores: Stores,
    kept: frozenset[str],
    wanted: dict[str, Any] | None,
    query: str,
    k: int,
    diversity: float,
    least: float | None,
) -> None:
    by_design = wanted is not None and index in ("bm25", "hybrid")
    there = [each for each in DOCUMENTS if not each.deleted and each.owner in kept]
    if not by_design:
        there = [each for each in there if each.passes(wanted)]
    others = {each.id for each in DOCUMENTS} - {each.id for each in there if each.passes(wanted)}
    if index == "leann" and "public" not in kept:
        # whoever is left out of a request, public owners were there when the codebook was trained
        there = [*there, *(each for each in DOCUMENTS if not each.deleted and each.owner == "public")]
    assume(any(each.owner == "public" for each in there) or index != "leann")
    without = stores.without(there)
    body: dict[str, Any] = {"query": query, "index": index, "owners": sorted(kept)}
    same = {**body, "filter": wanted} if by_design else body
    every, _ = asked(without, **same, k=ALL)
    # a share of the way down the scores, and exactly a passage's
    more = {} if least is None or not every else {"min_score": every[int(least * len(every))][2]}
    expected, _ = asked(without, **same, k=k, diversity=diversity, **more)
    found, answer = asked(stores.everything, **body, filter=wanted, k=k, diversity=diversity, **more)
    assert found == expected
    assert every or (index == "bm25" and {*query.split()} == {"former"})
    assert "former" not in answer
    assert [identity for identity in others if identity in answer] == []


@pytest.mark.parametrize("wanted", FILTERS[1:])
def test_bm25_counts_words_as_without_the_filter_and_gives_what_passes(stores: Stores, wanted: dict[str, Any]) -> None:
    passing = {each.id for each in DOCUMENTS if each.passes(wanted)}
    for kept in KEPT:
        body: dict[str, Any] = {"query": "ant fox hen", "index": "bm25", "owners": sorted(kept)}
        every, _ = asked(stores.everything, **body, k=ALL)
        found, _ = asked(stores.everything, **body, k=5, filter=wanted)
        assert found == [each for each in every if each[0].partition("#")[0] in passing][:5]
        assert found
