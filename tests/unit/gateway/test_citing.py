"""Which passage supports which sentence, and where the marker stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.cite import Citation, at_end, cite, mark, without_heading, without_markers
from gateway.pipeline.stream import Cleaner
from shared.contracts.candor import ReadPassage
from shared.contracts.retrieval import PassageScores
from shared.contracts.tracing import Span


def passage(n: int, text: str) -> ReadPassage:
    return ReadPassage(
        n=n,
        id=f"p{n}",
        document=f"d{n}",
        owner="papers",
        source="s",
        title="T",
        licence="CC0-1.0",
        text=text,
        scores=PassageScores(),
    )


LIGHTHOUSE = passage(1, "The lighthouse of Brenholm was finished in 1871. Its lamp burned whale oil.")
HARBOUR = passage(2, "In 1871 the harbour of Oldwick was closed by ice for three months.")
QUESTION = "When was the lighthouse of Brenholm finished?"


def span(start: int, end: int) -> Span:
    return Span(start=start, end=end, text="", length=1, count=1, relevance="low", owners=[], documents=[])


def cited(text: str, *passages: ReadPassage) -> str:
    return mark(text, cite(text, QUESTION, passages)).text


def test_a_short_answer_is_cited_from_the_passage_that_holds_it_and_speaks_of_the_question() -> None:
    assert cited("1871", HARBOUR, LIGHTHOUSE) == "1871 [1]"


@pytest.mark.parametrize("written", ["Context:\n[1] It was 1871.", "[1] It was 1871.", " Answer: It was 1871. [1]"])
def test_the_prompts_own_headings_and_markers_are_no_part_of_an_answer(written: str) -> None:
    assert without_heading(without_markers(written, 1)).strip() == "It was 1871."


def test_no_marker_stands_inside_a_name() -> None:
    prize = passage(1, "The prize of 1919 went to Dr. J. Smith of the U.S. Army.")
    text = "Dr. J. Smith of the U.S. Army won the prize of 1919. It rained."
    assert mark(text, cite(text, "Who won?", [prize])).text == text.replace("1919.", "1919. [1]")


def test_each_sentence_has_its_own_citation() -> None:
    text = "It was finished in 1871. The harbour of Oldwick was closed by ice."
    assert cited(text, LIGHTHOUSE, HARBOUR) == (
        "It was finished in 1871. [1] The harbour of Oldwick was closed by ice. [2]"
    )


@pytest.mark.parametrize("text", ["1872", "Nobody knows anything about purple dragons.", "Yes", "The", "", "..."])
def test_without_support_there_is_no_marker(text: str) -> None:
    assert cited(text, LIGHTHOUSE, HARBOUR) == text


def test_a_sentence_that_only_repeats_the_question_is_not_cited_for_its_overlap() -> None:
    assert cited("The lighthouse of Brenholm was finished in 1990.", LIGHTHOUSE) == (
        "The lighthouse of Brenholm was finished in 1990."
    )


def test_a_paraphrase_with_most_of_its_words_in_a_passage_is_cited() -> None:
    assert cited("The lamp of the lighthouse burned oil from whale hunters", LIGHTHOUSE).endswith("[1]")


@given(st.text(alphabet="ab .\n!", max_size=40), st.sets(st.integers(0, 40), max_size=4))
def test_marked_text_without_its_marks_is_the_plain_text(text: str, places: set[int]) -> None:
    marked = mark(text, [Citation(at, 1) for at in sorted(places) if at <= len(text)])
    kept, done = [], 0
    for start, end in marked.marks:
        assert marked.text[start:end] == " [1]"
        kept.append(marked.text[done:start])
        done = end
    assert "".join([*kept, marked.text[done:]]) == text


@given(st.text(alphabet="ab .", min_size=1, max_size=40), st.data())
def test_spans_move_with_the_markers_and_still_cover_the_same_words(text: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=4)))
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    marked = mark(text, [Citation(at, 1) for at in places])
    moved = marked.moved([span(start, end)])
    if any(start < at < end for at in places):
        assert moved == []
    else:
        assert marked.text[moved[0].start : moved[0].end] == text[start:end]


def test_at_the_end_each_passage_is_cited_once() -> None:
    assert at_end([Citation(3, 2), Citation(9, 1), Citation(12, 2)], "x" * 20) == [Citation(20, 2), Citation(20, 1)]


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("It was 1871 [1].", "It was 1871."),
        ("It was 1871.[2] Later [1][2] more", "It was 1871. Later more"),
        ("[1] It was 1871", " It was 1871"),
        ("cells[1] and [7] stay", "cells[1] and [7] stay"),
    ],
)
def test_the_models_own_markers_are_taken_out_and_code_is_left_alone(written: str, left: str) -> None:
    assert without_markers(written, 3) == left


@given(st.lists(st.text(alphabet="ab [1]2.\n", max_size=5), max_size=12))
def test_a_stream_sends_what_the_whole_text_would_be_and_takes_nothing_back(parts: list[str]) -> None:
    cleaner = Cleaner(3)
    sent = "".join(cleaner.take(part) for part in parts)
    assert sent == cleaner.sent
    assert without_markers("".join(parts), 3).strip().startswith(sent)
