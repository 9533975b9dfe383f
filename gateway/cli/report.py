"""How an evaluation's report looks on a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.contracts.evaluation import Cell, Comparison, Estimate, Report


def show_report(report: Report, console: Console) -> None:
    """Print the scores of each set and setting, then the paired comparisons."""
    run = report.run
    console.print(
        Text(f"{run.suite}, run {run.id}: at most {run.limit} questions a set, seed {run.seed}", style="bold")
    )
    console.print(_cells(report.cells, report.metrics))
    if report.comparisons:
        console.print(Text("\nThe same questions, compared in pairs", style="bold"))
        console.print(_comparisons(report.comparisons))
    if run.progress.failed:
        console.print(Text(f"{run.progress.failed} of {run.progress.total} items failed.", style="bold red"))
    for warning in run.warnings:
        console.print(Text(f"Note: {warning}", style="yellow"))
    console.print(Text("[low, high] are 95% intervals. p is two-sided, not corrected for their number.", style="dim"))


def _cells(cells: list[Cell], names: list[str]) -> Table:
    metrics = [name for name in names if any(name in cell.scores for cell in cells)]
    table = Table("set", "setting", "n", *metrics, box=box.SIMPLE_HEAD, pad_edge=False)
    for cell in cells:
        scores = [_interval(cell.scores[name], gap="\n") if name in cell.scores else "" for name in metrics]
        table.add_row(cell.set, cell.setting, str(cell.items), *scores)
    return table


def _comparisons(comparisons: list[Comparison]) -> Table:
    columns = ("set", "metric", "setting", "against", "n", "difference", "p", "test")
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for one in comparisons:
        probability = f"{one.p:.2g}" if one.p >= 1e-4 else "< 0.0001"
        items, difference = str(one.items), _interval(one.difference, signed=True)
        table.add_row(one.set, one.metric, one.setting, one.against, items, difference, probability, one.test)
    return table


def _interval(estimate: Estimate, *, signed: bool = False, gap: str = " ") -> Text:
    sign = "+" if signed else ""
    return Text(f"{estimate.mean:{sign}.3f}{gap}[{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]")
