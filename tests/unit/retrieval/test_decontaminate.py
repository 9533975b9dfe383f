"""Evaluation queries are taken out of the texts, and nothing else is."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.retrieval.datastore.ingest.decontaminate import BadQueries, Queries

QUERY = " ".join(f"word{number}" for number in range(40)) + "?"
OTHER = "This paragraph stays, since no query of any evaluation stands in it, however long it may be for that purpose."


def test_a_paragraph_that_is_a_query_is_taken_out_whatever_its_case_and_punctuation() -> None:
    text, taken = Queries([QUERY]).take_out(f"{OTHER}\n\n{QUERY.upper().replace(' ', ', ')}\n \n{OTHER}")
    assert (text, taken) == (f"{OTHER}\n\n\n \n{OTHER}", 1)


def test_a_line_that_is_a_query_is_taken_out_of_its_paragraph() -> None:
    assert Queries([QUERY]).take_out(f"{OTHER}\n{QUERY}\n{OTHER}") == (f"{OTHER}\n\n{OTHER}", 1)


def test_a_query_of_several_lines_is_found_as_a_paragraph() -> None:
    assert Queries([QUERY]).take_out(QUERY.replace("word20", "\nword20")) == ("", 1)


def test_a_short_query_is_found_only_as_a_whole_paragraph_or_line() -> None:
    queries = Queries(["Who built the quay?"])
    assert queries.take_out("Who built the quay?\nThe town.") == ("\nThe town.", 1)
    assert queries.take_out("Who built the quay? The town.")[1] == 0


@settings(max_examples=40)
@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 40))
def test_a_paragraph_is_taken_out_if_its_grams_are_over_seven_tenths_alike(before: int, start: int, end: int) -> None:
    split = [f"own{number}" for number in range(before)] + QUERY.rstrip("?").split()[start:end]
    query = QUERY.rstrip("?").split()

    def grams(words: list[str]) -> set[tuple[str, ...]]:
        n = min(13, len(words))
        return {tuple(words[place : place + n]) for place in range(len(words) - n + 1)} if words else set()

    shared, either = grams(split) & grams(query), grams(split) | grams(query)
    assert Queries([QUERY]).take_out(" ".join(split))[1] == int(len(shared) / len(either) > 0.7)


@settings(max_examples=60)
@given(st.text(st.sampled_from("ab \n\t.")))
def test_a_text_without_any_query_stays_as_it_is(text: str) -> None:
    assert Queries([QUERY]).take_out(text) == (text, 0)
    assert Queries().take_out(text) == (text, 0)


def test_queries_are_read_from_the_fields_that_question_files_have(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    lines = [{"question": "Who is it?", "text": "no"}, {"query": "Where is it?"}, {"_id": "1", "text": "When is it?"}]
    path.write_text("\n\n".join(map(json.dumps, lines)))
    queries = Queries.of([path])
    assert [queries.match(text) for text in ("Who is it?", "Where is it?", "When is it?", "no")] == [True] * 3 + [False]
    assert queries.digest == Queries(["When is it?", "Where is it?", "Who is it?"]).digest != Queries(["no"]).digest


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"answer": "x"}', b'{"question": 7}', b'{"text": "\xff"}'])
def test_a_line_of_queries_that_cannot_be_read_stops_the_build(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_bytes(b'{"text": "x"}\n' + line)
    with pytest.raises(BadQueries, match=r"queries\.jsonl, line 2: "):
        Queries.of([path])


def test_a_file_of_queries_that_is_missing_stops_the_build(tmp_path: Path) -> None:
    with pytest.raises(BadQueries, match="No such file"):
        Queries.of([tmp_path / "none.jsonl"])
