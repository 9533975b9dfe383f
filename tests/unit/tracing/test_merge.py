"""Segments merged out of core, against a segment of the same documents that was sorted at once."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tracing.continuation import continuation
from services.tracing.index.merge import write_merged
from services.tracing.index.records import Record
from services.tracing.index.segment import Segment
from services.tracing.index.stored import open_segment, write_segment
from services.tracing.search.arrays import stretches
from services.tracing.search.kernels import longest, positions, ranges
from services.tracing.tokenizer import Tokenizer

token = st.integers(1, 4)
texts = st.lists(st.lists(token, min_size=1, max_size=12), min_size=1, max_size=6)
parts = st.lists(st.tuples(texts, st.sets(st.integers(0, 5))), min_size=1, max_size=4)
Parts = list[tuple[list[list[int]], set[int]]]


def write(folder: Path, documents: list[tuple[str, list[int]]], tokenizer: Tokenizer) -> Segment:
    ids = [np.array(text, dtype=tokenizer.dtype) for _, text in documents]
    records = [Record(name, f"title of {name}", "manual", "PSF-2.0", None, name) for name, _ in documents]
    write_segment(folder, "owner", tokenizer, ids, records)
    return open_segment(folder, "owner", tokenizer)


def check(folder: Path, parts: Parts, tokenizer: Tokenizer, ahead: int) -> None:
    segments, shown = [], []
    for number, (documents, hidden) in enumerate(parts):
        named = [(f"{number}-{n}", text) for n, text in enumerate(documents)]
        gone = np.array([n for n in hidden if n < len(named)], dtype=np.int64)
        segments.append(write(folder / f"{number}", named, tokenizer).hiding(gone))
        shown += [one for n, one in enumerate(named) if n not in hidden]
    if not shown:
        return
    write_merged(folder / "merged", "owner", tokenizer, segments, ahead=ahead)
    merged = open_segment(folder / "merged", "owner", tokenizer)
    anew = write(folder / "anew", shown, tokenizer)
    for file in anew.folder.iterdir():
        assert (merged.folder / file.name).read_bytes() == file.read_bytes(), file.name
    assert (merged.documents, merged.tokens) == (anew.documents, anew.tokens)
    assert merged.index.tokens.tolist() == anew.index.tokens.tolist()
    assert merged.index.firsts.tolist() == anew.index.firsts.tolist()
    assert merged.term_documents.tolist() == anew.term_documents.tolist()
    for document in range(anew.documents):
        assert merged.bounds(document) == anew.bounds(document)
        assert merged.record(document) == anew.record(document)
        assert merged.find("sha256", shown[document][0]) == [document]
    every = positions(merged.index, np.arange(merged.index.suffixes.size))
    ends = np.flatnonzero(anew.index.tokens == tokenizer.separator)
    tails = [anew.index.tokens[at : ends[np.searchsorted(ends, at)] + 1].tolist() for at in every.tolist()]
    assert tails == sorted(tails)
    assert sorted(every.tolist()) == np.flatnonzero(anew.index.tokens != tokenizer.separator).tolist()
    query = np.array([1, 2, 1, 3, 2, 2, 1, 4, 1, 1], dtype=tokenizer.dtype)
    for length in (1, 2, 3):
        runs = stretches(query, np.arange(query.size - length), np.full(query.size - length, length))
        assert ranges(merged.index, runs).tolist() == ranges(anew.index, runs).tolist()
        assert continuation(query[:length], [merged]) == continuation(query[:length], [anew])
    all_of_it = stretches(query, np.arange(query.size), np.arange(query.size, 0, -1))
    assert longest(merged.index, all_of_it).tolist() == longest(anew.index, all_of_it).tolist()


@settings(max_examples=60, deadline=None)
@given(parts=parts, ahead=st.integers(1, 60))
def test_what_is_merged_is_what_was_sorted_at_once(parts: Parts, ahead: int, tokenizer: Tokenizer) -> None:
    with TemporaryDirectory() as folder:
        check(Path(folder), parts, tokenizer, ahead)


def test_long_repetitions_are_merged_exactly(tmp_path: Path, tokenizer: Tokenizer) -> None:
    random = np.random.default_rng(0).integers(1, 3, 700).tolist()
    parts: Parts = [
        ([random, [1] * 900, [*random[100:], 3]], {1}),
        ([random[50:], [1] * 700, [2], [1] * 901], {2}),
        ([[3, *random], [1, 2] * 400, random], set()),
    ]
    check(tmp_path, parts, tokenizer, 50)


def test_copies_of_long_documents_are_merged_in_time_that_grows_with_their_length(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    seconds = []
    for number, length in enumerate((2_000, 500_000)):
        texts = [[1] * length, np.random.default_rng(0).integers(1, 1000, length).tolist()]
        parts = [
            write(tmp_path / f"{number}-{n}", [(f"{n}{m}", text) for m, text in enumerate(texts)], tokenizer)
            for n in range(2)
        ]
        started = time.process_time()
        write_merged(tmp_path / f"{number}", "owner", tokenizer, parts)
        seconds.append(time.process_time() - started)
    # comparing each suffix with its copy from its beginning takes minutes
    assert seconds[1] < 20
