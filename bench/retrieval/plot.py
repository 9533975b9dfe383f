"""Recall, size and time of all that was measured, in one page."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bench.result import Figures

_PANELS = (
    ("recall_at_10", "recall@10", "linear"),
    ("bytes_per_passage", "bytes of index a passage", "log"),
    ("memory_mb", "memory, MB", "log"),
    ("cpu_ms", "CPU ms a query", "log"),
)
_COLOURS = ("#0b6e4f", "#1f77b4", "#d1495b", "#edae49", "#6a4c93", "#6b6b6b", "#111111")


def draw(rows: dict[str, dict[str, Figures]], path: Path) -> None:
    """`rows[set][system]` are figures; a panel for each kind, over the number of passages."""
    panels = make_subplots(2, 2, subplot_titles=[title for _, title, _ in _PANELS])
    systems = list(dict.fromkeys(system for figures in rows.values() for system in figures))
    for number, (key, _, scale) in enumerate(_PANELS):
        place = {"row": number // 2 + 1, "col": number % 2 + 1}
        for system, colour in zip(systems, _COLOURS, strict=False):
            points = [figures[system] for figures in rows.values() if figures.get(system, {}).get(key) is not None]
            panels.add_trace(
                go.Scatter(
                    x=[point["passages"] for point in points],
                    y=[point[key] for point in points],
                    name=system,
                    mode="lines+markers",
                    line={"color": colour},
                    legendgroup=system,
                    showlegend=number == 0,
                ),
                **place,
            )
        panels.update_xaxes(type="log", title="passages", **place)
        panels.update_yaxes(type=scale, **place)
    panels.update_layout(template="plotly_white", height=800, title="Retrieval beside its peers")
    panels.write_html(path, include_plotlyjs="cdn")
