"""From scores to estimates: the interval of a metric's mean, and the paired difference of two lists of items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.evaluation.measured import Group, Scored
from services.evaluation.statistics.intervals import bootstrap, interval
from services.evaluation.statistics.paired import cluster_flip, holm, mcnemar, sign_flip
from services.evaluation.suites.base import Kind
from shared.contracts.evaluation import Estimate, Paired

P = TypeVar("P", bound=Paired)


@dataclass(frozen=True)
class Pair:
    """One question, scored twice."""

    one: Scored
    other: Scored


def estimate(group: Group, metric: str) -> Estimate | None:
    """The mean of a metric with its interval; None if no item has it."""
    values, clusters = group.values(metric)
    return interval(values, clusters) if values else None


def pairs(one: Sequence[Scored], other: Sequence[Scored]) -> list[Pair]:
    """The questions that both have."""
    others = {scored.question: scored for scored in other}
    return [Pair(scored, others[scored.question]) for scored in one if scored.question in others]


def paired(found: Sequence[Pair], metric: str, kind: Kind) -> Paired | None:
    """The difference of a metric over these pairs, `p_holm` still uncorrected; None if no pair has it."""
    both = [pair for pair in found if metric in pair.one.scores and metric in pair.other.scores]
    if not both:
        return None
    differences = [pair.one.scores[metric] - pair.other.scores[metric] for pair in both]
    clusters = [pair.one.cluster for pair in both]
    whole = kind == "proportion" and {*differences} <= {-1.0, 0.0, 1.0}
    count = len({*clusters})
    if whole and count == len(both):
        test, p = "mcnemar", mcnemar(sum(one > 0 for one in differences), sum(one < 0 for one in differences))
    elif whole:
        test, p = "cluster_flip", cluster_flip(differences, clusters)
    else:
        test, p = "sign_flip", sign_flip(differences, clusters)
    return Paired.model_validate(
        {
            "items": len(both),
            "clusters": count,
            "difference": bootstrap(differences, clusters),
            "test": test,
            "p": p,
            "p_holm": p,
        }
    )


def corrected(comparisons: Sequence[P]) -> list[P]:
    """The comparisons with Holm's correction for all of them together."""
    adjusted = holm([one.p for one in comparisons])
    return [one.model_copy(update={"p_holm": p}) for one, p in zip(comparisons, adjusted, strict=True)]
