"""What to know of a report's intervals before trusting them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from services.evaluation.estimates import Pair, both_scored, resampled
from services.evaluation.measured import Group, Place
from services.evaluation.suites.base import Kind, Separation

FEWEST = 10
"""Clusters; of fewer the bootstrap's intervals are clearly too narrow. Wilson's are wide enough of any number."""


class Basis(NamedTuple):
    """How many clusters of a set an interval of the bootstrap is drawn of; `smaller`: of the smaller of two groups."""

    set: str
    clusters: int
    smaller: bool


def bases(groups: Mapping[Place, Group], metrics: Mapping[str, Kind]) -> list[Basis]:
    """For the intervals of each set and setting that are the bootstrap's."""
    found = [
        Basis(name, resampled(group.scored, metric, kind), isinstance(kind, Separation))
        for (name, _), group in groups.items()
        for metric, kind in metrics.items()
        if kind != "proportion"
    ]
    # where there is nothing to draw of there is no interval
    return [one for one in found if one.clusters]


def basis_between(name: str, found: Sequence[Pair], metric: str, kind: Kind) -> Basis:
    """For the interval of a difference over these pairs, which is the bootstrap's whatever the metric."""
    both = [pair.one for pair in both_scored(found, metric, kind)]
    return Basis(name, resampled(both, metric, kind), isinstance(kind, Separation))


def few_clusters(intervals: Iterable[Basis]) -> list[str]:
    """A warning of the sets that have too few clusters for an interval that is the bootstrap's; none without any."""
    fewest: dict[str, Basis] = {}
    for one in intervals:
        if one.clusters < fewest.get(one.set, Basis("", FEWEST, smaller=False)).clusters:
            fewest[one.set] = one
    if not fewest:
        return []
    listed = ", ".join(
        f"{one.set} ({one.clusters}{' in the smaller of two groups' if one.smaller else ''})" for one in fewest.values()
    )
    return [
        f"Fewer than {FEWEST} clusters (an item that shares none is one): {listed}. The bootstrap's intervals, which "
        "are those of differences and of means that are no proportions, are too narrow there: of 5 clusters they hold "
        "the truth 81 to 89 times in 100, not 95."
    ]
