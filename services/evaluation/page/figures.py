"""A suite's own figures as plotly draws them."""

from __future__ import annotations

from typing import Any

from services.evaluation.page.plots import COLOURS, Drawing, broken, error_bars, layout, room
from shared.contracts.figure import Figure, Heatmap, Plot, Series

_FEW = 8
"""Places on an axis that can each have a tick of their own."""

_MODES = {"line": "lines+markers", "points": "markers"}


def drawn(figure: Figure) -> Drawing:
    """The drawing of a figure that a suite handed to the report."""
    if isinstance(figure, Heatmap):
        return _matrix(figure)
    axes: dict[str, Any] = {
        "xaxis": {"title": {"text": figure.x_title}, "type": "log" if figure.x_log else "-"},
        "yaxis": {"title": {"text": figure.y_title}},
        "barmode": "group",
    }
    places = sorted({x for series in figure.series for x in series.x if isinstance(x, float)})
    if figure.x_log and len(places) <= _FEW:
        axes["xaxis"]["tickvals"] = places
    data = [_series(series, figure, COLOURS[place % len(COLOURS)]) for place, series in enumerate(figure.series)]
    wide = room(len({x for series in figure.series for x in series.x}), len(data)) if figure.kind == "bar" else 340
    return Drawing(figure.title, figure.note, data, layout(names=len(data)) | axes, wide)


def _series(series: Series, figure: Plot, colour: str) -> dict[str, Any]:
    places = [broken(x) if isinstance(x, str) else x for x in series.x]
    data: dict[str, Any] = {"x": places, "y": series.y, "name": series.name, **_bounds(series)}
    if figure.kind == "bar":
        return {"type": "bar", "marker": {"color": colour}, **data}
    return {"type": "scatter", "mode": _MODES[figure.kind], "marker": {"color": colour, "size": 8}, **data}


def _bounds(series: Series) -> dict[str, Any]:
    if series.low is None or series.high is None:
        return {}
    above = [
        high - y if y is not None and high is not None else 0 for y, high in zip(series.y, series.high, strict=True)
    ]
    below = [y - low if y is not None and low is not None else 0 for y, low in zip(series.y, series.low, strict=True)]
    return {"error_y": error_bars(above, below)}


def _matrix(figure: Heatmap) -> Drawing:
    cells = _worded(figure)
    scale: dict[str, Any] = {"colorscale": "Blues"}
    if figure.centre is not None:
        scale = {"colorscale": [[0, "#8C510A"], [0.5, "#F5F5F5"], [1, "#01665E"]], "zmid": figure.centre}
    data = {
        "type": "heatmap", "x": figure.columns, "y": figure.rows, "z": figure.values,
        "text": cells, "texttemplate": "%{text}", "hoverongaps": False, "xgap": 1, "ygap": 1, **scale,
        # of a size: left to itself plotly makes it as small as the longest needs
        "textfont": {"size": 12},
    }  # fmt: skip
    axes = {
        "xaxis": {"title": {"text": figure.x_title}, "type": "category", "automargin": True},
        "yaxis": {"title": {"text": figure.y_title}, "type": "category", "autorange": "reversed", "automargin": True},
    }
    tall = 30 if figure.low is None else 44
    height = layout(160 + max(tall * len(figure.rows), 120))
    return Drawing(figure.title, figure.note, [data], height | axes, room(len(figure.columns), 6) + 100)


def _worded(figure: Heatmap) -> list[list[str]]:
    """What stands in each cell: the value, and below it its interval."""
    words = [["" if value is None else f"{value:.3g}" for value in row] for row in figure.values]
    if figure.low is None or figure.high is None:
        return words
    bounds = zip(words, figure.low, figure.high, strict=True)
    return [[_with_bounds(*cell) for cell in zip(*row, strict=True)] for row in bounds]


def _with_bounds(word: str, low: float | None, high: float | None) -> str:
    return word if low is None or high is None else f"{word}<br><sub>{low:.3g} to {high:.3g}</sub>"
