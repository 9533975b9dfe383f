"""Members and non-members that share as much with the training text: what is left of an attack's AUC among them."""

from __future__ import annotations

from collections.abc import Sequence

from services.evaluation.measured import Scored
from services.evaluation.metrics.overlap import matched
from services.evaluation.statistics.separation import auc, two_groups
from shared.contracts.evaluation import Estimate

CALIPER = 0.02
"""Shares of n-grams at most so far apart are taken for the same."""

FEWEST = 5
"""Texts of each group below which no AUC is told."""


def groups(scored: Sequence[Scored]) -> tuple[list[Scored], list[Scored]]:
    """Members, and non-members."""
    members = [one for one in scored if one.scores["member"] == 1.0]
    return members, [one for one in scored if one.scores["member"] == 0.0]


def alike(scored: Sequence[Scored], n: int) -> list[Scored]:
    """As many members and non-members as can be paired by the same share of n-grams that other documents hold."""
    name = f"overlap_{n}"
    members, others = ([one for one in group if name in one.scores] for group in groups(scored))
    pairs = matched([one.scores[name] for one in members], [one.scores[name] for one in others], CALIPER)
    return [one for here, there in pairs for one in (members[here], others[there])]


def unlike(scored: Sequence[Scored], n: int, below: float) -> list[Scored]:
    """All members, and the non-members of which training documents hold less than that: MIMIR's filter."""
    members, others = groups(scored)
    return [*members, *(one for one in others if one.scores.get(f"overlap_{n}", 1.0) < below)]


def area(scored: Sequence[Scored], attack: str) -> Estimate | None:
    """The AUC of an attack over these texts; None of too few."""
    having = [one for one in scored if attack in one.scores]
    if min(map(len, groups(having))) < FEWEST:
        return None
    values, inside = [one.scores[attack] for one in having], [one.scores["member"] == 1.0 for one in having]
    found = two_groups(values, inside, [one.cluster for one in having])
    return None if found is None else auc(found)
