"""BM25 against bm25s itself, built anew for each set of segments."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import bm25s
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.retrieval.bm25.postings import Postings
from services.retrieval.bm25.score import K1, B, best
from services.retrieval.bm25.search import search
from services.retrieval.bm25.words import words
from services.retrieval.ranking import Rows

quickly = settings(deadline=None, max_examples=60)
Segment = list[list[str]]
texts = st.lists(st.sampled_from(["ant", "bee", "cat", "dog", "elk", "fox"]), max_size=12)
segments = st.lists(st.lists(texts, min_size=1, max_size=6), min_size=1, max_size=4)
queries = st.lists(st.sampled_from(["ant", "bee", "cat", "dog", "elk", "fox", "gnu"]), max_size=6)


def opened(folder: Path, parts: Sequence[Segment]) -> list[Postings]:
    made = []
    for number, part in enumerate(parts):
        place = folder / str(number)
        place.mkdir()
        Postings.write(place, part)
        made.append(Postings(place))
    return made


def score(segments: Sequence[Postings], query: Sequence[str]) -> list[NDArray[np.float64]]:
    """Of every passage of each segment; 0 where no word matches."""
    scores = [np.zeros(len(segment)) for segment in segments]
    everything: list[Rows] = [None] * len(segments)
    found = best(segments, query, sum(map(len, segments)), everything, everything)
    for mine, (rows, values) in zip(scores, found, strict=True):
        mine[rows] = values
    return scores


@quickly
@given(segments, queries)
def test_the_score_is_that_of_bm25s_over_all_passages_at_once(parts: list[Segment], query: list[str]) -> None:
    corpus = [text for part in parts for text in part]
    known = {word for text in corpus for word in text}
    expected = np.zeros(len(corpus))
    if known:
        peer = bm25s.BM25(method="lucene", k1=K1, b=B, dtype="float64")
        peer.index(corpus, show_progress=False)
        for word in query:
            if word in known:
                expected += peer.get_scores([word])
    with TemporaryDirectory() as folder:
        scores = score(opened(Path(folder), parts), query)
    np.testing.assert_allclose(np.concatenate(scores), expected, rtol=1e-6, atol=1e-9)


@quickly
@given(segments, queries, st.data())
def test_segments_left_out_leave_no_trace_in_the_scores(
    parts: list[Segment], query: list[str], data: st.DataObject
) -> None:
    kept = data.draw(st.sets(st.sampled_from(range(len(parts)))))
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        everything = opened(Path(first), parts)
        alone = opened(Path(second), [parts[number] for number in sorted(kept)])
        left_out = score([everything[number] for number in sorted(kept)], query)
        never_there = score(alone, query)
    assert [scores.tolist() for scores in left_out] == [scores.tolist() for scores in never_there]


def test_a_search_gives_the_best_passages_that_have_a_word_of_the_query(tmp_path: Path) -> None:
    corpus = ["The elk sleeps.", "An elk and an elk!", "Nothing here.", "ELK, elk; fox"]
    (ranking,) = search(opened(tmp_path, [words(corpus)]), ["elk of the fox"], 10)
    assert ranking.rows.tolist() == [3, 1, 0]
    assert (np.diff(ranking.scores) < 0).all()


@quickly
@given(segments, queries, st.integers(1, 40), st.data())
def test_the_best_of_those_allowed_are_found_and_equal_ones_in_the_order_of_their_rows(
    parts: list[Segment], query: list[str], count: int, data: st.DataObject
) -> None:
    allowed = [np.array(data.draw(st.lists(st.booleans(), min_size=len(part), max_size=len(part)))) for part in parts]
    with TemporaryDirectory() as folder:
        made = opened(Path(folder), parts)
        (ranking,) = search(made, [" ".join(query)], count, allowed=allowed)
        scores = score(made, query)
    every = [
        (-float(value), number, row)
        for number, part in enumerate(scores)
        for row, value in enumerate(part)
        if value and allowed[number][row]
    ]
    found = list(zip((-ranking.scores).tolist(), ranking.segments.tolist(), ranking.rows.tolist(), strict=True))
    assert found == sorted(every)[:count]


def test_stop_words_alone_find_nothing(tmp_path: Path) -> None:
    (ranking,) = search(opened(tmp_path, [words(["the elk of the north"])]), ["of the"], 10)
    assert len(ranking) == 0


def test_a_word_finds_its_other_forms_and_stop_words_find_nothing() -> None:
    assert words(["The herons were counted.", "Counting a heron"]) == [["heron", "were", "count"], ["count", "heron"]]
    assert words(["The and of"]) == [[]]
