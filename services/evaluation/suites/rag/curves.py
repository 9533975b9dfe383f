"""The plots of `rag`: a set's score by k, a line for each index with what is beside it."""

from __future__ import annotations

from collections.abc import Iterable

from services.evaluation.statistics.intervals import interval
from services.evaluation.suites.curve import with_intervals
from services.evaluation.suites.rag.plan import CLOSED_BOOK
from shared.contracts.evaluation import Estimate, Item
from shared.contracts.figure import Figure, Plot

_Scores = list[tuple[float, str]]
"""Scores, and the cluster of each."""


def by_k(items: Iterable[Item]) -> list[Figure]:
    """One plot for each set; closed book is k = 0 of every line."""
    values: dict[str, dict[str, _Scores]] = {}
    for item in items:
        if item.status == "scored":
            score = item.scores.get("accuracy", item.scores.get("contains_gold", 0.0))
            values.setdefault(item.set, {}).setdefault(item.setting, []).append((score, item.cluster))
    return [_plot(name, settings) for name, settings in values.items()]


def _plot(name: str, settings: dict[str, _Scores]) -> Plot:
    lines: dict[str, dict[int, Estimate]] = {}
    for setting, scores in settings.items():
        if setting != CLOSED_BOOK:
            index, _, rest = setting.partition("@")
            k, plus, extra = rest.partition("+")
            lines.setdefault(f"{index}{plus}{extra}", {})[int(k)] = _estimate(scores)
    if (book := settings.get(CLOSED_BOOK)) is not None:
        lines = {line: {0: _estimate(book), **points} for line, points in (lines or {CLOSED_BOOK: {}}).items()}
    return Plot(
        kind="line",
        title=f"{name}: score by passages read",
        x_title="k, passages (0: closed book)",
        y_title="accuracy, or gold answer contained",
        series=[
            with_intervals(line, sorted(points), [points[k] for k in sorted(points)]) for line, points in lines.items()
        ],
        note="The same questions at every point. Only what the datastore holds can help: a set whose answers are not "
        "in the owners' documents gains nothing from reading them.",
    )


def _estimate(scores: _Scores) -> Estimate:
    return interval([score for score, _ in scores], [cluster for _, cluster in scores], resamples=2000)
