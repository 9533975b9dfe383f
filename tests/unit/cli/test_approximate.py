"""Approximate matches on the screen."""

from io import StringIO

from rich.console import Console

from gateway.cli.spans import approximate_table
from shared.contracts.tracing import ApproximateSpan, Difference


def test_what_differs_stands_in_brackets_on_both_lines() -> None:
    said, there = "the QUICK brown fox leaps over", "the quick brown\nfox jumps over"
    span = ApproximateSpan(
        start=100,
        end=100 + len(said),
        text=said,
        similarity=0.8333,
        id="a:1",
        owner="papers",
        corpus="papers",
        source="a",
        title="Foxes",
        licence="CC0",
        snippet=there,
        differences=[Difference(start=120, end=125, match_start=20, match_end=25)],
    )
    screen = StringIO()
    Console(width=100, file=screen).print(approximate_table([span]))
    shown = screen.getvalue()
    assert "the QUICK brown fox [leaps] over" in shown
    assert "the quick brown fox [jumps] over" in shown
    assert "0.83" in shown
    assert "Foxes" in shown
