"""How an answer reads on a terminal, with and without colour."""

import io

import pytest
from rich.console import Console

from gateway.cli.answer import bar, show_answer
from gateway.cli.comparison import show_comparison
from gateway.cli.spans import COPIED, STYLES, marked
from shared.contracts.candor import ChatAnswer
from shared.contracts.tracing import Span
from tests.unit.cli.conftest import TEXT, span


def shown(answer: ChatAnswer, *, colour: bool = False, width: int = 100) -> str:
    target = io.StringIO()
    show_answer(answer, Console(file=target, force_terminal=colour, no_color=not colour, width=width))
    return target.getvalue()


def test_spans_are_marked_at_code_points_without_colour() -> None:
    assert marked(TEXT, [span("harbour seal")], colour=False).plain == "🦭 The «harbour seal» [1] dives for mussels."


def test_spans_that_touch_keep_their_marks_apart() -> None:
    spans = [span("dives "), span("for mussels")]
    assert marked(TEXT, spans, colour=False).plain.endswith("«dives »«for mussels».")


def test_spans_that_overlap_are_quoted_together() -> None:
    spans = [span("seal [1] dives"), span("harbour seal"), span("seal")]
    assert marked(TEXT, spans, colour=False).plain == "🦭 The «harbour seal [1] dives» for mussels."


def test_the_more_relevant_of_two_overlapping_spans_is_seen() -> None:
    text = marked(TEXT, [span("harbour seal", "high"), span("The harbour", "low")], colour=True)
    assert [style.style for style in text.spans] == [STYLES["low"], STYLES["high"]]


def test_spans_are_coloured_by_relevance_and_the_text_stays_as_it_is() -> None:
    text = marked(TEXT, [span("harbour seal", "high"), span("dives", "low")], colour=True)
    assert text.plain == TEXT
    assert [(TEXT[s.start : s.end], s.style) for s in text.spans] == [
        ("dives", STYLES["low"]),
        ("harbour seal", STYLES["high"]),
    ]


def test_spans_that_had_just_been_read_look_different_and_the_legend_says_so(answer: ChatAnswer) -> None:
    assert answer.candor.trace
    own, copied = answer.candor.trace.spans
    copied.in_passages = ["tides:1#0"]
    assert marked(TEXT, [own, copied], colour=False).plain == "🦭 The «harbour seal» [1] ⟨dives for⟩ mussels."
    assert [style.style for style in marked(TEXT, [own, copied], colour=True).spans] == [COPIED, STYLES["high"]]
    assert "⟨so⟩: that too, but copied from the prompt or a passage" in shown(answer)
    assert "a passage" in shown(answer)
    copied.in_prompt = True
    assert "the prompt, a passage" in " ".join(shown(answer, width=200).split())


def test_a_stretch_that_was_read_only_in_part_is_not_called_copied() -> None:
    own, copied = span("harbour seal"), span("seal [1] dives").model_copy(update={"in_prompt": True})
    assert "«harbour seal [1] dives»" in marked(TEXT, [own, copied], colour=False).plain


def test_an_answer_of_which_nothing_was_copied_needs_no_legend(answer: ChatAnswer) -> None:
    assert "copied from" not in shown(answer)


def test_no_spans_leave_the_text_alone() -> None:
    nothing: list[Span] = []
    assert marked(TEXT, nothing, colour=False).plain == TEXT


@pytest.mark.parametrize(
    "said",
    [
        "«harbour seal» [1] «dives for» mussels.",
        "[1]   papers   tides: On seals   exact 0.700   The harbour seal lives near quays.",
        "mussels",
        "17.250",
        "1,234",
        "On the tides",
        "37.5%",
        "Left out: medicine",
        "Without trace: the corpus of medicine is gone",
        "Note: temperature was ignored",
        "1,553 ms: policy 1 · retrieve 20 · generate 1,500 · aggregate 2 · trace 30",
        "cand-1",
    ],
)
def test_an_answer_without_colour_says(answer: ChatAnswer, said: str) -> None:
    assert said in shown(answer)


def test_the_winner_is_marked(answer: ChatAnswer) -> None:
    rows = [line.split() for line in shown(answer).splitlines() if "17.250" in line or "kelp" in line]
    assert [row[0] == "*" for row in rows] == [True, False]


def test_the_shares_of_the_ledger_and_of_the_public_expert_make_a_whole(answer: ChatAnswer) -> None:
    rest = next(line for line in shown(answer).splitlines() if "(no owner)" in line)
    assert "public" in rest
    assert "62.5%" in rest


def test_square_brackets_of_an_answer_are_text_and_not_markup(answer: ChatAnswer) -> None:
    answer.choices[0].message.content = "[bold]Seals[/bold] [link=x]"
    answer.candor.trace = None
    answer.candor.passages[0].title = "[red]"
    assert "[bold]Seals[/bold] [link=x]" in shown(answer)
    assert "tides: [red]" in shown(answer)


def test_an_answer_without_escapes_when_the_output_is_not_a_terminal(answer: ChatAnswer) -> None:
    assert "\x1b" not in shown(answer)
    assert "\x1b" in shown(answer, colour=True)


def test_an_empty_answer_can_be_shown(answer: ChatAnswer) -> None:
    report = answer.candor
    answer.choices[0].message.content = ""
    report.passages, report.samples, report.ledger, report.trace = [], [], [], None
    assert "Answer" in shown(answer)


def test_a_search_that_found_no_span_says_so(answer: ChatAnswer) -> None:
    assert answer.candor.trace
    answer.candor.trace.spans = []
    assert "No verbatim span" in shown(answer)


@pytest.mark.parametrize(("share", "cells"), [(0.0, 0), (0.04, 0), (0.5, 5), (1.0, 10)])
def test_a_bar_is_as_long_as_its_share(share: float, cells: int) -> None:
    assert bar(share).count("█") == cells
    assert len(bar(share)) == len(bar(0.123))


def test_a_comparison_shows_what_leaving_an_owner_out_changed(answer: ChatAnswer) -> None:
    without = answer.model_copy(deep=True)
    without.choices[0].message.content = "I do not know."
    without.candor.passages, without.candor.ledger = [], without.candor.ledger[:1]
    target = io.StringIO()
    show_comparison(answer, without, "papers", Console(file=target, width=120))
    rows = {" ".join(line.split()) for line in target.getvalue().splitlines()}
    assert "passages read 1 of papers none" in rows
    assert "papers's passages 1 none" in rows
    assert any("mussels" in row and "I do not know." in row for row in rows)
