"""What to know of a report's intervals before trusting them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.evaluation.suites.base import Kind
from shared.contracts.evaluation import Cell, Comparison, RunDifference

FEWEST = 10
"""Clusters; of fewer the bootstrap's intervals are clearly too narrow. Wilson's are wide enough of any number."""


def few_clusters(
    cells: Sequence[Cell], metrics: Mapping[str, Kind], differences: Sequence[Comparison | RunDifference]
) -> list[str]:
    """A warning of the sets that have too few clusters for an interval that is the bootstrap's; none without any."""
    resampled = [cell for cell in cells if any(metrics[name] != "proportion" for name in cell.scores)]
    fewest: dict[str, int] = {}
    for one in (*resampled, *differences):
        if one.clusters < FEWEST:
            fewest[one.set] = min(one.clusters, fewest.get(one.set, FEWEST))
    if not fewest:
        return []
    listed = ", ".join(f"{name} ({clusters})" for name, clusters in fewest.items())
    return [
        f"Fewer than {FEWEST} clusters (an item that shares none is one): {listed}. The bootstrap's intervals, which "
        "are those of differences and of means that are no proportions, are too narrow there: of 5 clusters they hold "
        "the truth 81 to 89 times in 100, not 95."
    ]
