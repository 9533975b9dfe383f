"""The report's plots, as plotly figures. Imports plotly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from shared.contracts.model import PUBLIC
from shared.contracts.routing import CoActivation, RoutingAnalysis, Saturation, VocabularyRouting

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A800", "#5D3A9B")
"""Okabe and Ito's, which stay apart for the colour-blind; more experts than these take them again."""
_GREY = "#9A9A9A"
_PANELS = 4
"""Panels in a row."""
_NUMBERS = 16
"""Experts that a legend, or rows of a matrix that numbers in its cells, still have room for."""

Matrices = NDArray[np.float64]


def shares_by_layer(found: RoutingAnalysis) -> go.Figure:
    """A panel a domain: the routing share of every expert, stacked, layer by layer."""
    figure, places = _panels(list(found.domains), shared_yaxes=True)
    for (domain, (row, column)), first in zip(places.items(), [True, *[False] * len(places)], strict=False):
        shares = np.array(found.domains[domain].shares)
        for expert, name in enumerate(found.experts):
            bar = go.Bar(
                x=list(range(len(shares))),
                y=shares[:, expert],
                name=name,
                legendgroup=name,
                # beyond these a legend would hide the plot; hovering names the expert
                showlegend=first and len(found.experts) <= _NUMBERS,
                marker={"color": _colour(name, expert), "line": {"width": 0}},
                hovertemplate=f"layer %{{x}}: {name} %{{y:.3f}}<extra></extra>",
            )
            figure.add_trace(bar, row, column)
    figure.update_layout(
        barmode="stack", bargap=0, legend={"orientation": "h", "yref": "container", "yanchor": "top", "y": 0.99, "x": 0}
    )
    figure.update_yaxes(range=[0, 1])
    return _finished(figure, 130 + 190 * math.ceil(len(places) / _PANELS), top=90)


def domains_and_experts(found: RoutingAnalysis) -> go.Figure:
    """The share of a domain's tokens that an expert computes: a matrix, for all layers and for each."""
    matrices = np.array([domain.specialisation for domain in found.domains.values()]).transpose(1, 0, 2)
    figure = _matrix(matrices, list(found.domains), found.experts, "share of the domain's tokens", found.uniform)
    figure.update_xaxes(title="expert")
    return figure


def domains_by_layer(found: RoutingAnalysis) -> go.Figure:
    """The same, a panel a domain: the experts from top to bottom, the layers from left to right."""
    figure, places = _panels(list(found.domains), shared_yaxes=True)
    for domain, (row, column) in places.items():
        shares = np.array(found.domains[domain].specialisation).T
        figure.add_trace(go.Heatmap(z=shares, y=found.experts, coloraxis="coloraxis"), row, column)
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(coloraxis=_scale(found.uniform))
    return _finished(figure, 90 + max(150, 14 * len(found.experts) + 40) * math.ceil(len(places) / _PANELS))


def co_activation(found: CoActivation, experts: Sequence[str], active: int) -> go.Figure:
    """Of the tokens of the row's expert, the share that the column's expert computes too."""
    shares = np.array(found.shares, dtype=np.float64)
    # an expert with itself is 1 by definition, and would drown the rest
    shares[:, range(len(experts)), range(len(experts))] = np.nan
    even = (active - 1) / max(1, len(experts) - 1)
    figure = _matrix(shares, experts, experts, "share of the row's tokens", even)
    figure.update_xaxes(title="... that this expert computes too")
    figure.update_yaxes(title="of this expert's tokens ...")
    return figure


def vocabulary_by_layer(found: RoutingAnalysis) -> go.Figure:
    """Mean vocabulary specialisation, a line for each kind of id."""
    lines = {name: kind.by_layer for name, kind in _kinds(found)}
    return _lines(lines, found.uniform, "mean specialisation")


def vocabulary_histogram(found: RoutingAnalysis) -> go.Figure:
    """How many vocabulary entries are how specialised, averaged over the layers."""
    figure = go.Figure()
    for place, (name, kind) in enumerate(_kinds(found)):
        values = [entry.specialisation for entry in kind.entries]
        bins = {"start": 0, "end": 1.0001, "size": 0.025}
        figure.add_trace(
            go.Histogram(x=values, name=name, xbins=bins, marker={"color": _COLOURS[place]}, autobinx=False)
        )
    figure.add_vline(x=found.uniform, line={"dash": "dot", "color": _GREY}, annotation_text="chosen evenly")
    figure.update_layout(barmode="group", bargap=0.1, legend={"orientation": "h", "y": 1.1, "x": 0})
    figure.update_xaxes(title="share of an entry's most frequent expert, mean over layers", range=[0, 1.01])
    figure.update_yaxes(title="vocabulary entries")
    return _finished(figure, 340)


def saturation(found: Saturation, experts: int) -> go.Figure:
    """Overlap with another checkpoint's choices, layer by layer."""
    lines = {f"all {found.active} choices": found.by_layer, "first choice": found.first}
    figure = _lines(lines, found.active / experts, f"overlap with {found.against}")
    figure.update_yaxes(range=[0, 1.03])
    return figure


def _kinds(found: RoutingAnalysis) -> list[tuple[str, VocabularyRouting]]:
    vocabulary = found.vocabulary
    return [
        ("by the token itself", vocabulary.input),
        ("by the token that follows", vocabulary.next),
        ("by the token predicted", vocabulary.predicted),
    ]


def _lines(lines: dict[str, list[float]], even: float, title: str) -> go.Figure:
    figure = go.Figure()
    for place, (name, values) in enumerate(lines.items()):
        figure.add_trace(
            go.Scatter(
                x=list(range(len(values))), y=values, name=name, mode="lines+markers", line={"color": _COLOURS[place]}
            )
        )
    figure.add_hline(y=even, line={"dash": "dot", "color": _GREY}, annotation_text="chosen evenly")
    figure.update_layout(legend={"orientation": "h", "y": 1.12, "x": 0})
    figure.update_xaxes(title="layer")
    figure.update_yaxes(title=title)
    return _finished(figure, 340)


def _panels(titles: Sequence[str], **options: Any) -> tuple[go.Figure, dict[str, tuple[int, int]]]:
    """A figure of panels, and the row and column of each title."""
    columns = min(_PANELS, len(titles))
    rows = math.ceil(len(titles) / columns)
    figure = make_subplots(
        rows, columns, subplot_titles=titles, horizontal_spacing=0.025, vertical_spacing=0.28 / rows, **options
    )
    places = {title: (place // columns + 1, place % columns + 1) for place, title in enumerate(titles)}
    for title in titles[-columns:]:
        row, column = places[title]
        figure.update_xaxes(title="layer", row=row, col=column)
    return figure, places


def _matrix(matrices: Matrices, rows: Sequence[str], columns: Sequence[str], what: str, even: float) -> go.Figure:
    """A heat map of the mean over layers, (layers, rows, columns), and a slider to each layer's own."""
    # nobody's tokens in some layer: the mean is over the others
    counts = (~np.isnan(matrices)).sum(axis=0)
    mean = np.divide(np.nansum(matrices, axis=0), counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    numbers = "%{z:.2f}" if max(len(rows), len(columns)) <= _NUMBERS else None
    figure = go.Figure()
    for place, matrix in enumerate([mean, *matrices]):
        figure.add_trace(
            go.Heatmap(
                z=matrix,
                x=list(columns),
                y=list(rows),
                coloraxis="coloraxis",
                visible=place == 0,
                texttemplate=numbers,
                hovertemplate=f"%{{y}}, %{{x}}: {what} %{{z:.3f}}<extra></extra>",
                xgap=1,
                ygap=1,
            )
        )
    labels = ["all", *map(str, range(len(matrices)))]
    steps = [
        {"method": "restyle", "label": label, "args": [{"visible": [other == label for other in labels]}]}
        for label in labels
    ]
    figure.update_layout(
        sliders=[{"steps": steps, "currentvalue": {"prefix": "layer: "}, "pad": {"t": 60}}], coloraxis=_scale(even)
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    return _finished(figure, 240 + max(26 * len(rows), 100))


def _scale(even: float) -> dict[str, Any]:
    """White where an even choice would be, green above it and brown below."""
    below = [[0, "#8C510A"], [even / 2, "#D8B365"]] if even > 0 else []
    above = [[(1 + even) / 2, "#5AB4AC"], [1, "#01665E"]] if even < 1 else []
    colours = [*below, [even, "#F5F5F5"], *above]
    return {"colorscale": colours, "cmin": 0, "cmax": 1, "colorbar": {"title": "share", "thickness": 12}}


def _colour(name: str, place: int) -> str:
    return _GREY if name == PUBLIC else _COLOURS[(place - 1) % len(_COLOURS)]


def _finished(figure: go.Figure, height: int, top: int = 60) -> go.Figure:
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 60, "r": 20, "t": top, "b": 50},
        font={"family": "system-ui, sans-serif", "size": 13},
    )
    return figure
