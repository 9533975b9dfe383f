"""Recall, size, memory and time of all that was measured, in one picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt

from bench.result import Figures

_PANELS = (
    ("recall_at_10", "recall@10", "linear"),
    ("bytes_per_passage", "bytes of index a passage", "log"),
    ("memory_mb", "memory, MB", "log"),
    ("cpu_ms", "CPU ms a query", "log"),
)


def draw(rows: dict[str, dict[str, Figures]], path: Path) -> None:
    """`rows[set][system]` are figures; a panel for each kind, over the number of passages."""
    figure, panels = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
    systems = list(dict.fromkeys(system for figures in rows.values() for system in figures))
    for panel, (key, title, scale) in zip(panels.flat, _PANELS, strict=True):
        for number, system in enumerate(systems):
            points = [figures[system] for figures in rows.values() if figures.get(system, {}).get(key) is not None]
            panel.plot(
                [point["passages"] for point in points],
                [point[key] for point in points],
                marker="o",
                color=f"C{number}",
                label=system,
            )
        panel.set(title=title, xlabel="passages", xscale="log", yscale=scale)
        panel.grid(alpha=0.3)
    panels[0, 0].legend()
    figure.savefig(path)
    plt.close(figure)
