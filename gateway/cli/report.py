"""How an evaluation's report looks on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.contracts.evaluation import Cell, Comparison, Estimate, Report, RunDifference, RunsCompared

_RATES = ("truncated", "unparsed")
_ANY = 10_000
"""Columns of a terminal on which every table fits."""
_READING = "[low, high] are 95% intervals. p is two-sided; p (Holm) is corrected for all comparisons of the table."


def show_report(report: Report, console: Console) -> None:
    """Print the scores of each set and setting, then the paired comparisons."""
    run = report.run
    console.print(Text(f"{run.suite}, run {run.id}: limit {run.limit} a set, seed {run.seed}", style="bold"))
    if run.rescored_from:
        console.print(Text(f"The answers are those of {run.rescored_from}, scored again."))
    for paragraph in report.summary:
        console.print(Text(paragraph))
    wide = _cells(report.cells, report.metrics)
    fits = console.measure(wide, options=console.options.update(width=_ANY)).maximum <= console.width
    console.print(wide if fits else _scores(report.cells, report.metrics))
    if report.comparisons:
        console.print(Text("\nThe same questions, compared in pairs", style="bold"))
        console.print(_pairs([(f"{one.setting} - {one.against}", one) for one in report.comparisons]))
    if run.progress.failed:
        console.print(Text(f"{run.progress.failed} of {run.progress.total} items failed.", style="bold red"))
    for warning in [*run.warnings, *report.warnings]:
        console.print(Text(f"Note: {warning}", style="yellow"))
    console.print(Text(_READING, style="dim"))


def show_compared(compared: RunsCompared, console: Console) -> None:
    """Print what differs between the runs, and every run's difference from the first."""
    names = {run.id: chr(ord("A") + place) for place, run in enumerate(compared.runs)}
    for run in compared.runs:
        console.print(Text(f"{names[run.id]}: {run.suite}, run {run.id}, {run.progress.done} items", style="bold"))
    for name, values in compared.differing.items():
        told = ", ".join(f"{letter} {value}" for letter, value in zip(names.values(), values, strict=True))
        console.print(Text(f"{name}: {told}"), soft_wrap=True)
    console.print(_pairs([(_between(one, names), one) for one in compared.differences]))
    for warning in compared.warnings:
        console.print(Text(f"Note: {warning}", style="yellow"))
    console.print(Text(_READING, style="dim"))


def _between(one: RunDifference, names: Mapping[str, str]) -> str:
    if one.setting == one.against_setting:
        return f"{one.setting}: {names[one.run]} - {names[one.against]}"
    return f"{names[one.run]} {one.setting} - {names[one.against]} {one.against_setting}"


def _cells(cells: list[Cell], names: list[str]) -> Table:
    rates = [name for name in _RATES if any(getattr(cell, name) is not None for cell in cells)]
    metrics = [name for name in names if name not in _RATES and any(name in cell.scores for cell in cells)]
    table = Table("set", "setting", "n", "failed", *rates, *metrics, box=box.SIMPLE_HEAD, pad_edge=False)
    for cell in cells:
        beside = [f"{found.mean:.1%}" if (found := getattr(cell, rate)) is not None else "" for rate in rates]
        scores = [_interval(cell.scores[name], gap="\n") if name in cell.scores else "" for name in metrics]
        table.add_row(cell.set, cell.setting, _count(cell), f"{cell.failure.mean:.1%}", *beside, *scores)
    return table


def _scores(cells: Sequence[Cell], names: Sequence[str]) -> Table:
    """A line for each score, of cells that have more of them than there is room for beside each other."""
    table = Table("set", "setting", "n", "failed", "metric", "score", box=box.SIMPLE_HEAD, pad_edge=False)
    for cell in cells:
        about = [cell.set, cell.setting, _count(cell), f"{cell.failure.mean:.1%}"]
        rates = [(name, rate) for name in _RATES if (rate := getattr(cell, name)) is not None]
        scores = [(name, cell.scores[name]) for name in names if name not in _RATES and name in cell.scores]
        for name, found in [*rates, *scores] or [("", None)]:
            table.add_row(*about, name, "" if found is None else _interval(found))
            about = [""] * len(about)
        table.add_section()
    return table


def _pairs(found: Sequence[tuple[str, Comparison | RunDifference]]) -> Table:
    columns = ("set", "metric", "difference of", "n", "difference", "p", "p (Holm)", "test")
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for label, one in found:
        difference = _interval(one.difference, signed=True)
        table.add_row(one.set, one.metric, label, _count(one), difference, _p(one.p), _p(one.p_holm), one.test)
    return table


def _count(one: Cell | Comparison | RunDifference) -> str:
    """How many items, and below it in how many clusters where that is not as many."""
    return str(one.items) if one.clusters == one.items else f"{one.items}\nin {one.clusters} clusters"


def _p(probability: float) -> str:
    return f"{probability:.2g}" if probability >= 1e-4 else "< 0.0001"


def _interval(estimate: Estimate, *, signed: bool = False, gap: str = " ") -> Text:
    sign = "+" if signed else ""
    return Text(f"{estimate.mean:{sign}.3f}{gap}[{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]")
