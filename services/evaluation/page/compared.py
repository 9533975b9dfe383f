"""The page of a comparison of runs."""

from __future__ import annotations

from collections.abc import Iterator

from services.evaluation.page import plots
from services.evaluation.page.items import Entry, pieces
from services.evaluation.page.plots import Named
from services.evaluation.page.render import placed, render
from services.evaluation.report import tables
from services.evaluation.suites.base import RATES
from shared.contracts.evaluation import Pairing, RunDifference, RunsCompared

_MINUS = " − "  # noqa: RUF001 - a minus sign


def compared_page(compared: RunsCompared, entries: Iterator[Entry], count: int) -> Iterator[str]:
    """The page of a comparison: `entries` are the items of the first run, `count` of them, with those of the others."""
    names = letters(compared)
    rows = [Named(names[one.run], cell) for one in compared.cells for cell in one.cells]
    metrics = [name for name in compared.metrics if name not in RATES and any(name in row.cell.scores for row in rows)]
    by_setting = [Named(f"{row.name}, {row.cell.setting}", row.cell) for row in rows]
    labelled = [(f"{one.set}, {one.metric}<br>{label(one, names)}", one) for one in compared.differences]
    drawings = [
        *plots.curves(by_setting, metrics), *plots.scores(by_setting, metrics), *plots.costs(by_setting, metrics)
    ]  # fmt: skip
    return render(
        "compared.html.jinja",
        pieces(entries, metrics),
        title=f"{', '.join(dict.fromkeys(run.suite for run in compared.runs))}: {len(compared.runs)} runs compared",
        compared=compared,
        runs=compared.runs,
        names=list(names.values()),
        tables=tables(rows, metrics),
        metrics=metrics,
        differences=[(one, label(one, names)) for one in compared.differences],
        pairings=[(one, label(one, names)) for one in compared.pairings],
        plots=placed(drawings, wide=[plots.differences(labelled)]),
        count=count,
    )


def letters(compared: RunsCompared) -> dict[str, str]:
    """A short name of each run: A, the one that the others are compared with, B, ..."""
    return {run.id: chr(ord("A") + place) for place, run in enumerate(compared.runs)}


def label(one: RunDifference | Pairing, names: dict[str, str]) -> str:
    """B - A, under the setting they have in common or each under its own."""
    if one.setting == one.against_setting:
        return f"{one.setting}: {names[one.run]}{_MINUS}{names[one.against]}"
    return f"{names[one.run]} {one.setting}{_MINUS}{names[one.against]} {one.against_setting}"
