"""A report as Markdown: for a file, a pull request, or a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.evaluation.report import tables
from services.evaluation.suites.base import RATES
from shared.contracts.evaluation import Cell, Estimate, Paired, Pairing, Report, RunDifference, RunsCompared

_READING = (
    "[low, high] are 95% intervals: Wilson's for proportions, the bootstrap's for other means and for differences. "
    "They and the tests take clusters (questions on one document, say) whole. p is two-sided, of McNemar's exact test "
    "for proportions, of a rank-swap test for areas under ROC curves and for shares found at so many false alarms, and "
    "of a sign-flip test for other means; p (Holm) is corrected for all comparisons of its table."
)


def markdown(report: Report) -> str:
    """The whole report: what was run, the scores, the comparisons, and what to know when reading them."""
    run = report.run
    versions = ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
    progress = f"{run.status}, {run.progress.done} of {run.progress.total} items, {run.progress.failed} failed"
    parts = [
        f"# {run.suite} ({run.id})",
        f"{progress}; limit {run.limit} a set, seed {run.seed}.",
        f"Versions: {versions}.",
        *([f"The answers are those of {run.rescored_from}, scored again."] if run.rescored_from else []),
        *report.summary,
        _cells([("", cell) for cell in report.cells], report.metrics),
        _comparisons([(f"{one.setting} - {one.against}", one.set, one.metric, one) for one in report.comparisons]),
        _READING,
        *(f"- {warning}" for warning in [*run.warnings, *report.warnings]),
        *([f"**{run.error}**"] if run.error else []),
    ]
    return _joined(parts)


def compared_markdown(compared: RunsCompared) -> str:
    """The whole comparison: which runs, what differs between them, the differences, the scores."""
    names = {run.id: chr(ord("A") + place) for place, run in enumerate(compared.runs)}
    differing = [
        [name, *("" if value is None else str(value) for value in values)]
        for name, values in compared.differing.items()
    ]
    return _joined(
        [
            f"# {len(compared.runs)} runs compared",
            *(
                f"- {names[run.id]}: {run.suite} ({run.id}), {run.status}, {run.progress.done} items, "
                f"{run.progress.failed} failed"
                for run in compared.runs
            ),
            _table(["differs", *names.values()], differing) if differing else "",
            _comparisons([(_label(one, names), one.set, one.metric, one) for one in compared.differences]),
            _pairings(compared.pairings, names),
            _cells([(names[one.run], cell) for one in compared.cells for cell in one.cells], compared.metrics),
            _READING,
            *(f"- {warning}" for warning in compared.warnings),
        ]
    )


def _label(one: RunDifference | Pairing, names: Mapping[str, str]) -> str:
    if one.setting == one.against_setting:
        return f"{one.setting}: {names[one.run]} - {names[one.against]}"
    return f"{names[one.run]} {one.setting} - {names[one.against]} {one.against_setting}"


def _cells(cells: Sequence[tuple[str, Cell]], metrics: Sequence[str]) -> str:
    """The scores, sets that are measured alike in a table."""
    shown = [name for name in metrics if name not in RATES]
    return "\n\n".join(_alike(rows, some) for some, rows in tables(cells, shown))


def _alike(cells: Sequence[tuple[str, Cell]], metrics: Sequence[str]) -> str:
    """A table, with the rates of what has none or was cut off; the first column only where runs are told apart."""
    rates = [name for name in RATES if any(getattr(cell, name) is not None for _, cell in cells)]
    runs = ["run"] if any(name for name, _ in cells) else []
    rows = [
        [
            *([name] if runs else []),
            cell.set,
            cell.setting,
            _count(cell),
            f"{cell.failed} ({cell.failure.mean:.1%})" if cell.failed else "0",
            *(f"{found.mean:.1%}" if (found := getattr(cell, rate)) is not None else "" for rate in rates),
            *(_interval(cell.scores[metric]) if metric in cell.scores else "" for metric in metrics),
        ]
        for name, cell in cells
    ]
    return _table([*runs, "set", "setting", "n", "failed", *rates, *metrics], rows)


def _comparisons(found: Sequence[tuple[str, str, str, Paired]]) -> str:
    rows = [
        [name, metric, label, _count(one), _interval(one.difference, signed=True), _p(one.p), _p(one.p_holm)]
        for label, name, metric, one in found
    ]
    return _table(["set", "metric", "difference of", "pairs", "difference", "p", "p (Holm)"], rows) if rows else ""


def _pairings(found: Sequence[Pairing], names: Mapping[str, str]) -> str:
    rows = [[one.set, _label(one, names), str(one.paired), str(one.unpaired), str(one.different)] for one in found]
    return _table(["set", "of", "paired", "in one run only", "same id, other question"], rows) if rows else ""


def _count(one: Cell | Paired) -> str:
    """How many items, and in how many clusters where that is not as many."""
    return str(one.items) if one.clusters == one.items else f"{one.items} in {one.clusters} clusters"


def _interval(estimate: Estimate, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{estimate.mean:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def _p(probability: float) -> str:
    return f"{probability:.2g}" if probability >= 1e-4 else "< 0.0001"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
