"""What follows tokens, and conjunctions of them, against counting in plain lists; segments with hidden documents."""

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tracing import cnf
from services.tracing.cnf import find_all
from services.tracing.continuation import backed_off, continuation
from services.tracing.index.records import StoredRecords, stored
from services.tracing.index.segment import Segment
from services.tracing.search.kernels import END
from services.tracing.tokenizer import Tokenizer
from tests.unit.tracing.test_search import make_index, places

token = st.integers(0, 3)
texts = st.lists(st.lists(token, min_size=1, max_size=20), min_size=1, max_size=5)
shards = st.lists(st.tuples(texts, st.sets(st.integers(0, 4))), min_size=1, max_size=3)
Shards = list[tuple[list[list[int]], set[int]]]


def make_segments(shards: Shards, tokenizer: Tokenizer) -> list[Segment]:
    """A segment a shard: its texts as ids, and the numbers of those that are hidden."""
    made = []
    for number, (documents, hidden) in enumerate(shards):
        index = make_index(documents, np.uint16)
        edges = np.cumsum([0, *(len(text) + 1 for text in documents)]).astype(np.uint32)
        records = StoredRecords(**_no_records())
        terms = np.full(tokenizer.term_count, len(documents), dtype=np.uint32)
        segment = Segment(f"{number}", "owner", tokenizer, index, edges, records, terms, 0, Path())
        there = np.array([one for one in hidden if one < len(documents)], dtype=np.int64)
        made.append(segment.hiding(there))
    return made


def _no_records() -> dict[str, np.ndarray]:
    arrays = stored([])
    return {
        "records": arrays["records"],
        "offsets": arrays["record_offsets"],
        "keys": arrays["keys"],
        "key_documents": arrays["key_documents"],
    }


def shown(shards: Shards) -> list[list[int]]:
    return [text for documents, hidden in shards for number, text in enumerate(documents) if number not in hidden]


def follow(documents: list[list[int]], context: list[int]) -> Counter[int]:
    n = len(context)
    return Counter(
        text[at + n] if at + n < len(text) else END
        for text in documents
        for at in range(len(text) + (not n))
        if text[at : at + n] == context
    )


@settings(max_examples=150, deadline=None)
@given(shards=shards, context=st.lists(token, max_size=5))
def test_what_follows_in_several_segments_is_what_follows_in_their_union(
    shards: Shards, context: list[int], tokenizer: Tokenizer
) -> None:
    segments = make_segments(shards, tokenizer)
    found = continuation(np.array(context, dtype=np.uint16), segments)
    expected = follow(shown(shards), context)
    assert found.counts == expected
    assert list(found.counts.values()) == sorted(expected.values(), reverse=True)
    assert found.count == expected.total()


@settings(max_examples=150, deadline=None)
@given(shards=shards, context=st.lists(token, max_size=12))
def test_it_backs_off_to_the_longest_suffix_that_occurs(
    shards: Shards, context: list[int], tokenizer: Tokenizer
) -> None:
    segments = make_segments(shards, tokenizer)
    found = backed_off(np.array(context, dtype=np.uint16), segments)
    documents = shown(shards)
    suffixes = [context[n:] for n in range(len(context) + 1)]
    longest = next(suffix for suffix in suffixes if not suffix or follow(documents, suffix))
    assert found.context == len(longest)
    assert found.counts == follow(documents, longest)


@settings(max_examples=200, deadline=None)
@given(
    shards=shards,
    clauses=st.lists(st.lists(st.lists(token, min_size=1, max_size=3), min_size=1, max_size=2), min_size=1, max_size=3),
    distance=st.integers(1, 8),
)
def test_a_place_of_the_rarest_clause_counts_when_all_others_are_near(
    shards: Shards, clauses: list[list[list[int]]], distance: int, tokenizer: Tokenizer
) -> None:
    segments = make_segments(shards, tokenizer)
    asked = [[np.array(ids, dtype=np.uint16) for ids in clause] for clause in clauses]
    found = find_all(asked, segments, distance, limit=1000)

    def occurrences(clause: list[list[int]]) -> set[tuple[int, int]]:
        return {
            (number, at)
            for number, (documents, hidden) in enumerate(shards)
            for ids in clause
            for at in places(documents, ids, hidden)
        }

    rarest = min(range(len(clauses)), key=lambda number: len(occurrences(clauses[number])))
    for (documents, hidden), at, length in zip(shards, found.places, found.lengths, strict=True):
        starts = np.cumsum([0, *(len(text) + 1 for text in documents)])

        def is_near(one: int, other: int, starts: np.ndarray = starts) -> bool:
            together = np.searchsorted(starts, one, "right") == np.searchsorted(starts, other, "right")
            return bool(together) and abs(one - other) <= distance

        where = [{at for ids in clause for at in places(documents, ids, hidden)} for clause in clauses]
        expected = [one for one in sorted(where[rarest]) if all(any(is_near(one, other) for other in w) for w in where)]
        assert at.tolist() == expected
        lengths = [
            max(len(ids) for ids in clauses[rarest] if one in places(documents, ids, hidden)) for one in at.tolist()
        ]
        assert length.tolist() == lengths
    assert not found.approximate
    assert found.count == sum(at.size for at in found.places)


def test_a_clause_past_the_limit_is_looked_at_in_part_and_its_count_estimated(tokenizer: Tokenizer) -> None:
    documents = [[0, 1] * 10 for _ in range(50)] + [[0, 2] * 10 for _ in range(50)]
    segments = make_segments([(documents, set())], tokenizer)
    one, other = np.array([0], dtype=np.uint16), np.array([1, 0], dtype=np.uint16)
    (all_of_it,) = find_all([[one, one, np.array([0, 1], dtype=np.uint16)]], segments, 3, limit=100).counts
    assert all_of_it == pytest.approx(1000, rel=0.05)
    exact = find_all([[one], [other, one]], segments, 3, limit=10_000)
    estimated = find_all([[one], [one]], segments, 3, limit=100)
    assert not exact.approximate
    assert estimated.approximate
    assert estimated.places[0].size <= 101
    assert estimated.count == pytest.approx(1000, rel=0.05)


def test_a_large_distance_has_no_token_looked_at_twice(tokenizer: Tokenizer) -> None:
    segments = make_segments([([[0] * 40_000, [1] * 40_000], set())], tokenizer)
    clauses = [[np.array([number], dtype=np.uint16)] for number in (0, 1)]
    find_all(clauses, segments, 1, limit=10)
    began = time.process_time()
    assert find_all(clauses, segments, 10_000, limit=1_000_000).count == 0
    assert time.process_time() - began < 1
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cnf, "MOST_READ", 10_000)
        assert find_all(clauses, segments, 10, limit=1_000_000).approximate
