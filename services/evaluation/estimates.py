"""From scores to estimates: a metric with its interval, and the paired difference of two lists of items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.evaluation.measured import Scored
from services.evaluation.statistics import separation
from services.evaluation.statistics.intervals import bootstrap, interval
from services.evaluation.statistics.paired import cluster_flip, holm, mcnemar, sign_flip
from services.evaluation.statistics.separation import TwoGroups
from services.evaluation.suites.base import Kind, Separation
from shared.contracts.evaluation import Estimate, Paired, Test

P = TypeVar("P", bound=Paired)


@dataclass(frozen=True)
class Pair:
    """One question, scored twice."""

    one: Scored
    other: Scored


def estimate(scored: Sequence[Scored], metric: str, kind: Kind) -> Estimate | None:
    """What a metric is of these items, with its interval; None if none has it, or not two groups where it is of two."""
    if isinstance(kind, Separation):
        groups = _groups(scored, kind)
        if groups is None:
            return None
        return separation.auc(groups) if kind.fpr is None else separation.tpr(groups, kind.fpr)
    found = [one for one in scored if metric in one.scores]
    if not found:
        return None
    between = bootstrap if kind == "continuous" else interval
    return between([one.scores[metric] for one in found], [one.cluster for one in found])


def resampled(scored: Sequence[Scored], metric: str, kind: Kind) -> int:
    """The clusters that a bootstrap of this metric draws of: where it tells two groups apart, those of the smaller."""
    if not isinstance(kind, Separation):
        return len({one.cluster for one in scored if metric in one.scores})
    if (groups := _groups(scored, kind)) is None:
        return 0
    return min(len({*one.tolist()}) for one in (groups.positive_clusters, groups.negative_clusters))


def pairs(one: Sequence[Scored], other: Sequence[Scored]) -> list[Pair]:
    """The questions that both have."""
    others = {scored.question: scored for scored in other}
    return [Pair(scored, others[scored.question]) for scored in one if scored.question in others]


def both_scored(found: Sequence[Pair], metric: str, kind: Kind) -> list[Pair]:
    """The pairs of which both have what a metric is made of."""
    needed = {kind.score, kind.group} if isinstance(kind, Separation) else {metric}
    return [pair for pair in found if needed <= pair.one.scores.keys() & pair.other.scores.keys()]


def difference(found: Sequence[Pair], metric: str, kind: Kind) -> Estimate | None:
    """A metric of the first of these pairs less that of the second, with its paired interval; None as `estimate`."""
    both = both_scored(found, metric, kind)
    if isinstance(kind, Separation):
        if (groups := _two(both, kind)) is None:
            return None
        if kind.fpr is not None:
            return separation.tpr_difference(*groups, kind.fpr)
        return separation.auc_difference(*groups)
    if not both:
        return None
    return bootstrap([pair.one.scores[metric] - pair.other.scores[metric] for pair in both], _clusters(both))


def paired(found: Sequence[Pair], metric: str, kind: Kind) -> Paired | None:
    """The difference of a metric over these pairs with its test, `p_holm` still uncorrected; None as `difference`."""
    between = difference(found, metric, kind)
    if between is None:
        return None
    both = both_scored(found, metric, kind)
    count = len({*_clusters(both)})
    test, p = _test(both, metric, kind)
    return Paired(items=len(both), clusters=count, difference=between, test=test, p=p, p_holm=p)


def _test(both: Sequence[Pair], metric: str, kind: Kind) -> tuple[Test, float]:
    clusters = _clusters(both)
    if isinstance(kind, Separation):
        groups = _two(both, kind)
        if kind.fpr is not None:
            return "tpr_swap", 1.0 if groups is None else separation.tpr_swap(*groups, kind.fpr)
        return "rank_swap", 1.0 if groups is None else separation.rank_swap(*groups)
    differences = [pair.one.scores[metric] - pair.other.scores[metric] for pair in both]
    if kind == "proportion" and {*differences} <= {-1.0, 0.0, 1.0}:
        if len({*clusters}) == len(both):
            return "mcnemar", mcnemar(sum(one > 0 for one in differences), sum(one < 0 for one in differences))
        return "cluster_flip", cluster_flip(differences, clusters)
    return "sign_flip", sign_flip(differences, clusters)


def _clusters(both: Sequence[Pair]) -> list[str]:
    return [pair.one.cluster for pair in both]


def _two(both: Sequence[Pair], kind: Separation) -> tuple[TwoGroups, TwoGroups] | None:
    one, other = (_groups(scored, kind) for scored in ([p.one for p in both], [p.other for p in both]))
    return None if one is None or other is None else (one, other)


def _groups(scored: Sequence[Scored], kind: Separation) -> TwoGroups | None:
    found = [one for one in scored if kind.score in one.scores and kind.group in one.scores]
    if not found:
        return None
    inside = [one.scores[kind.group] == 1.0 for one in found]
    return separation.two_groups([one.scores[kind.score] for one in found], inside, [one.cluster for one in found])


def corrected(comparisons: Sequence[P]) -> list[P]:
    """The comparisons with Holm's correction for all of them together."""
    adjusted = holm([one.p for one in comparisons])
    return [one.model_copy(update={"p_holm": p}) for one, p in zip(comparisons, adjusted, strict=True)]
