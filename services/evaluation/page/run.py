"""The page of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.evaluation.page import plots
from services.evaluation.page.figures import drawn
from services.evaluation.page.items import pieces
from services.evaluation.page.plots import Named
from services.evaluation.page.render import placed, render
from services.evaluation.report import tables
from services.evaluation.suites.base import RATES
from shared.contracts.evaluation import Item, Report


def run_page(report: Report, items: Sequence[Item]) -> Iterator[str]:
    """The page of a report and all its items, in parts, reading the items as it goes."""
    run = report.run
    rows = [Named(cell.setting, cell) for cell in report.cells]
    scored = [name for name in report.metrics if any(name in cell.scores for cell in report.cells)]
    metrics = [name for name in scored if name not in RATES]
    differences = [
        (f"{one.set}, {one.metric}<br>{one.setting} − {one.against}", one)  # noqa: RUF001 - a minus sign
        for one in report.comparisons
    ]
    # a suite that draws its own has curves and costs among them
    general = [] if report.figures else [*plots.curves(rows, metrics), *plots.costs(rows, metrics)]
    drawings = [*(drawn(figure) for figure in report.figures), *plots.scores(rows, metrics), *general]
    made = {
        **{f"version: {name}": value for name, value in sorted(run.versions.items())},
        **{f"option: {name}": value for name, value in sorted(run.options.items())},
        "priority": run.priority,
    }
    return render(
        "run.html.jinja",
        pieces(([item] for item in items), metrics),
        title=f"{run.suite}, {run.id}",
        run=run,
        summary=report.summary,
        warnings=[*run.warnings, *report.warnings],
        tables=tables(rows, metrics),
        metrics=metrics,
        names=[run.id],
        comparisons=report.comparisons,
        plots=placed(drawings, wide=[plots.differences(differences)]),
        count=len(items),
        made=made,
    )
