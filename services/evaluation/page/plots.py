"""The plots of a report, as the JSON that plotly draws: data and layout. Nothing here imports plotly."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.contracts.evaluation import Cell, Estimate, Paired

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#B8A700")
"""Told apart by those who do not see red and green alike (Okabe & Ito 2008, without black)."""

_LEGEND_ROW = 20
"""Pixels; two names stand in a row, and the first rows have room."""

_LINE = 16
"""Characters of a line below a bar."""

_CURVE = re.compile(r"(.+)@(\d+)")
"""A metric that is one of a series, such as pass@8."""


@dataclass(frozen=True)
class Drawing:
    """A plot with a title and a sentence that says how to read it. On less than `width` pixels the page scrolls it."""

    title: str
    note: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    width: int = 340


class Named(NamedTuple):
    """A cell, and what its bars and lines are called: its setting, or its run."""

    name: str
    cell: Cell


def layout(height: int = 340, names: int = 0) -> dict[str, Any]:
    """What all plots have in common; `names` of a legend, which stands above the plot, are given room of their own."""
    return {
        "height": height + _LEGEND_ROW * max(0, names // 2 - 2),
        "margin": {"l": 55, "r": 20, "t": 20, "b": 50},
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "plot_bgcolor": "#fff",
        "colorway": list(COLOURS),
    }


def broken(name: str) -> str:
    """A name over as many lines as it takes to stand below a bar."""
    lines = textwrap.wrap(name.replace("/", "/ "), _LINE, break_long_words=False)
    return "<br>".join(line.replace("/ ", "/") for line in lines)


def room(places: int, bars: int) -> int:
    """Pixels that so many places on an axis need, each with so many bars."""
    return max(340, 75 + places * max(70, 14 * bars))


def scores(cells: Sequence[Named], metrics: Sequence[str]) -> list[Drawing]:
    """A plot of each metric that is not on a curve: sets on the axis, a bar for each setting, with its interval."""
    on_curves = {metric for points in _series(metrics).values() for _, metric in points}
    bars = (_bars(metric, cells) for metric in metrics if metric not in on_curves)
    return [drawing for drawing in bars if drawing is not None]


def curves(cells: Sequence[Named], metrics: Sequence[str]) -> list[Drawing]:
    """Metrics of several depths (pass@1, pass@2, ...) as lines over the depth, a plot for each set."""
    return [
        _curve(name, one, points, [cell for cell in cells if cell.cell.set == one])
        for name, points in _series(metrics).items()
        for one in dict.fromkeys(cell.cell.set for cell in cells)
    ]


def costs(cells: Sequence[Named], metrics: Sequence[str]) -> list[Drawing]:
    """The first metric against the tokens and against the time of an answer, a point for each cell."""
    metric = next((name for name in metrics if any(name in one.cell.scores for one in cells)), None)
    if metric is None:
        return []
    axes = (("tokens", "tokens of an answer, mean"), ("latency_p50", "milliseconds of an answer, median"))
    return [_cost(metric, field, label, cells) for field, label in axes if _worth_drawing(field, cells)]


def differences(found: Sequence[tuple[str, Paired]]) -> Drawing | None:
    """Every comparison's difference with its interval; filled where p is below 0.05 after Holm's correction."""
    if not found:
        return None
    data = []
    for name, sure in (("p (Holm) < 0.05", True), ("p (Holm) ≥ 0.05", False)):
        some = [(label, one) for label, one in found if (one.p_holm < 0.05) is sure]
        marker = {"symbol": "circle" if sure else "circle-open", "size": 9, "color": COLOURS[0] if sure else COLOURS[6]}
        line = _interval([one.difference for _, one in some], "error_x", colour=str(marker["color"]))
        labels = [label for label, _ in some]
        points = {"x": [one.difference.mean for _, one in some], "y": labels, "name": name, "marker": marker}
        data.append({"type": "scatter", "mode": "markers", **points, **line})
    order = [label for label, _ in reversed(found)]
    axes = layout(height=110 + 38 * len(found)) | {
        "xaxis": {"title": {"text": "difference"}, "zeroline": True, "zerolinecolor": "#888"},
        "yaxis": {
            "categoryorder": "array",
            "categoryarray": order,
            "automargin": True,
            "range": [-0.7, len(order) - 0.3],
        },
    }
    note = "Paired differences with their 95% intervals; right of zero, the first named is higher."
    return Drawing("Differences", note, data, axes, 640)


def _series(metrics: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
    """Depth and metric of those that are one measure at three depths or more, by the measure."""
    series: dict[str, list[tuple[int, str]]] = {}
    for metric in metrics:
        if found := _CURVE.fullmatch(metric):
            series.setdefault(found[1], []).append((int(found[2]), metric))
    return {name: sorted(points) for name, points in series.items() if len(points) >= 3}


def _bars(metric: str, cells: Sequence[Named]) -> Drawing | None:
    data = []
    for place, name in enumerate(_names(cells)):
        some = [one.cell for one in cells if one.name == name and metric in one.cell.scores]
        if some:
            means = [cell.scores[metric] for cell in some]
            bars = {"x": [broken(cell.set) for cell in some], "y": [one.mean for one in means], "name": name}
            data.append({"type": "bar", **bars, "marker": {"color": _colour(place)}, **_interval(means)})
    if not data:
        return None
    axes = layout(names=len(data)) | {
        "barmode": "group",
        "yaxis": {"rangemode": "tozero"},
        # names of sets that are too long to stand side by side are turned, and take more room
        "xaxis": {"type": "category", "automargin": True},
    }
    return Drawing(metric, "", data, axes, room(len({x for bars in data for x in bars["x"]}), len(data)))


def _curve(name: str, of: str, points: Sequence[tuple[int, str]], cells: Sequence[Named]) -> Drawing:
    data: list[dict[str, Any]] = []
    for place, one in enumerate(cells):
        known = [(depth, one.cell.scores[metric]) for depth, metric in points if metric in one.cell.scores]
        x, y = [depth for depth, _ in known], [score.mean for _, score in known]
        line = {"x": x, "y": y, "name": one.name, "line": {"color": _colour(place)}}
        data.append({"type": "scatter", "mode": "lines+markers", **line, **_interval([score for _, score in known])})
    axes = layout(names=len(data)) | {
        "xaxis": {"title": {"text": "k"}, "type": "log", "tickvals": [depth for depth, _ in points]},
        "yaxis": {"rangemode": "tozero"},
    }
    return Drawing(f"{name}@k, {of}", "", data, axes)


def _cost(metric: str, field: str, label: str, cells: Sequence[Named]) -> Drawing:
    data = []
    for place, name in enumerate(_names(cells)):
        some = [one.cell for one in cells if one.name == name and metric in one.cell.scores]
        some = [cell for cell in some if getattr(cell, field) is not None]
        if some:
            points = {"x": [getattr(cell, field) for cell in some], "y": [cell.scores[metric].mean for cell in some]}
            marker = {"color": _colour(place), "size": 10}
            text = {"text": [cell.set for cell in some], "hovertemplate": "%{text}: %{y:.3f} at %{x:.0f}"}
            data.append(
                {"type": "scatter", "mode": "markers", "name": name, "marker": marker, **points, **text}
                | _interval([cell.scores[metric] for cell in some])
            )
    axes = layout(names=len(data)) | {
        "xaxis": {"title": {"text": label}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": metric}, "rangemode": "tozero"},
    }
    return Drawing(f"{metric} against {label.partition(',')[0]}", "", data, axes)


def _worth_drawing(field: str, cells: Iterable[Named]) -> bool:
    return len({value for one in cells if (value := getattr(one.cell, field)) is not None}) > 1


def _interval(estimates: Sequence[Estimate], axis: str = "error_y", colour: str = "#333") -> dict[str, Any]:
    above = [one.high - one.mean for one in estimates]
    below = [one.mean - one.low for one in estimates]
    return {axis: error_bars(above, below, colour)}


def error_bars(above: Sequence[float], below: Sequence[float], colour: str = "#333") -> dict[str, Any]:
    """Plotly's error bars, which are distances from the point."""
    bars = {"type": "data", "symmetric": False, "array": list(above), "arrayminus": list(below)}
    return {**bars, "color": colour, "thickness": 1.3, "width": 4}


def _names(cells: Iterable[Named]) -> list[str]:
    return list(dict.fromkeys(one.name for one in cells))


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]
