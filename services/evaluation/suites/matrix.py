"""A matrix of figures with their intervals, as a heatmap."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shared.contracts.evaluation import Estimate
from shared.contracts.figure import Heatmap


def heatmap(
    title: str,
    note: str,
    values: Mapping[tuple[str, str], Estimate],
    *,
    centre: float | None,
    x_title: str,
    y_title: str,
) -> Heatmap:
    """By row and column, in the order in which those first come."""
    rows = list(dict.fromkeys(row for row, _ in values))
    columns = list(dict.fromkeys(column for _, column in values))

    def cells(of: Callable[[Estimate], float]) -> list[list[float | None]]:
        found = {place: round(of(value), 4) for place, value in values.items()}
        return [[found.get((row, column)) for column in columns] for row in rows]

    return Heatmap(
        title=title,
        x_title=x_title,
        y_title=y_title,
        columns=columns,
        rows=rows,
        values=cells(lambda one: one.mean),
        low=cells(lambda one: one.low),
        high=cells(lambda one: one.high),
        centre=centre,
        note=note,
    )
