"""The report as one HTML page that needs nothing else: no server, no network. Imports plotly."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go
import plotly.io
from jinja2 import Environment, FileSystemLoader
from plotly.offline import get_plotlyjs

from services.model.analysis import figures
from shared.contracts.routing import RoutingAnalysis, VocabularyEntry

_TOP = 12
"""Vocabulary entries listed of each expert."""


def page(found: RoutingAnalysis) -> str:
    """The page, with plotly's script in it."""
    templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    return templates.get_template("page.html.jinja").render(
        found=found,
        layers=len(found.co_activation.tokens),
        script=get_plotlyjs(),
        plots={
            "shares": _html(figures.shares_by_layer(found)),
            "domains": _html(figures.domains_and_experts(found)),
            "domains_by_layer": _html(figures.domains_by_layer(found)),
            "co_activation": _html(figures.co_activation(found.co_activation, found.experts, found.active)),
            "vocabulary": _html(figures.vocabulary_by_layer(found)),
            "histogram": _html(figures.vocabulary_histogram(found)),
            "saturation": found.saturation and _html(figures.saturation(found.saturation, len(found.experts))),
        },
        entries={expert: _most(found, place) for place, expert in enumerate(found.experts)},
    )


def _most(found: RoutingAnalysis, expert: int) -> list[VocabularyEntry]:
    """The entries, by the token itself, of which the expert computes the largest share."""
    entries = found.vocabulary.input.entries
    return sorted(entries, key=lambda entry: (-entry.shares[expert], -entry.count))[:_TOP]


def _html(figure: go.Figure) -> str:
    part: str = plotly.io.to_html(
        figure, full_html=False, include_plotlyjs=False, config={"displayModeBar": False, "responsive": True}
    )
    return part
