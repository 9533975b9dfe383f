"""Latency against tokens, segments and callers, in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from bench.result import Figures
from bench.tracing.compare import CALLERS

_LINES = (
    ("spans_p50_ms", "spans, Candor", "C0", "-"),
    ("peer_spans_p50_ms", "spans, infini-gram", "C1", "-"),
    ("trace_p50_ms", "whole trace, Candor, p50", "C0", "--"),
    ("trace_p95_ms", "whole trace, Candor, p95", "C0", ":"),
    ("peer_trace_p50_ms", "whole trace, infini-gram, p50", "C1", "--"),
)
_CALLERS = (
    ("spans", "spans, Candor", "C0", "-"),
    ("peer_spans", "spans, infini-gram", "C1", "-"),
    ("trace", "whole trace, Candor", "C0", "--"),
)


def draw(rows: Mapping[str, Figures], path: Path) -> None:
    """`rows[index]` are figures; a panel each over tokens (of one segment), segments, and callers."""
    figure, panels = plt.subplots(1, 3, figsize=(15, 5), layout="constrained")
    every = list(rows.values())
    one = [row for row in every if row["segments"] == 1]
    most = max(every, key=lambda row: row["segments"] or 0)
    cut = [row for row in every if abs((row["tokens"] or 0) - (most["tokens"] or 0)) < 0.01 * (most["tokens"] or 1)]
    _lines(panels[0], one, "tokens")
    _lines(panels[1], cut, "segments")
    for name, label, colour, style in _CALLERS:
        row = next((row for row in every if f"{name}_a_second_of_1" in row), None)
        if row:
            points = [row[f"{name}_a_second_of_{threads}"] for threads in CALLERS]
            panels[2].plot(CALLERS, points, marker="o", color=colour, linestyle=style, label=label)
    panels[2].set(xlabel="callers, threads of one process", ylabel="texts a second", yscale="log")
    for panel in panels:
        panel.grid(alpha=0.3)
        panel.legend()
    figure.savefig(path)
    plt.close(figure)


def _lines(panel: Any, rows: Sequence[Figures], over: str) -> None:
    ordered = sorted(rows, key=lambda row: row[over] or 0)
    for key, label, colour, style in _LINES:
        points = [(row[over], row[key]) for row in ordered if row.get(key) is not None]
        if points:
            panel.plot(*zip(*points, strict=True), marker="o", color=colour, linestyle=style, label=label)
    panel.set(xlabel=over, ylabel="ms a text of 500 tokens", xscale="log", yscale="log")
