"""A report as Markdown: for a file, a pull request, or a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.contracts.evaluation import Cell, Comparison, Estimate, Report


def markdown(report: Report) -> str:
    """The whole report: what was run, the scores, the comparisons, and what to know when reading them."""
    run = report.run
    versions = ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
    progress = f"{run.status}, {run.progress.done} of {run.progress.total} items, {run.progress.failed} failed"
    parts = [
        f"# {run.suite} ({run.id})",
        f"{progress}; at most {run.limit} questions a set, seed {run.seed}.",
        f"Versions: {versions}.",
        _cells(report.cells, report.metrics),
        _comparisons(report.comparisons),
        "[low, high] are 95% intervals: Wilson's for proportions, the bootstrap's for other means and for differences. "
        "p is two-sided, of McNemar's exact test for proportions and of a sign-flip test for other means, "
        "not corrected for the number of comparisons.",
        *(f"- {warning}" for warning in run.warnings),
        *([f"**{run.error}**"] if run.error else []),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cells(cells: Sequence[Cell], metrics: Sequence[str]) -> str:
    shown = [metric for metric in metrics if any(metric in cell.scores for cell in cells)]
    rows = [
        [
            cell.set,
            cell.setting,
            str(cell.items),
            str(cell.failed),
            *(_interval(cell.scores[metric]) if metric in cell.scores else "" for metric in shown),
        ]
        for cell in cells
    ]
    return _table(["set", "setting", "n", "failed", *shown], rows) if rows else ""


def _comparisons(comparisons: Sequence[Comparison]) -> str:
    rows = [
        [
            one.set,
            one.metric,
            f"{one.setting} - {one.against}",
            str(one.items),
            _interval(one.difference, signed=True),
            f"{one.p:.2g}" if one.p >= 1e-4 else "< 0.0001",
        ]
        for one in comparisons
    ]
    return _table(["set", "metric", "difference of", "pairs", "difference", "p"], rows) if rows else ""


def _interval(estimate: Estimate, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{estimate.mean:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
