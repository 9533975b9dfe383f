"""The plots of `membership`, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from services.evaluation.estimates import estimate
from services.evaluation.measured import Group, Place, Scored
from services.evaluation.statistics.intervals import bootstrap
from services.evaluation.suites.base import Separation
from services.evaluation.suites.curve import with_intervals
from services.evaluation.suites.matrix import heatmap
from services.evaluation.suites.membership.attacks import ATTACKS, METRICS
from services.evaluation.suites.membership.matching import alike, area, groups, unlike
from services.evaluation.suites.membership.plan import ALL, NGRAMS
from shared.contracts.evaluation import Estimate
from shared.contracts.figure import Figure, Heatmap, Plot

RATES = (0.01, 0.001)
"""False alarm rates at which it is told how many members are found."""

_Chosen = Callable[[Sequence[Scored]], Sequence[Scored]]

VERSIONS: Mapping[str, _Chosen] = {
    "all texts": lambda scored: scored,
    "non-members' 7-grams < 20%": partial(unlike, n=7, below=0.2),
    "non-members' 13-grams < 20%": partial(unlike, n=13, below=0.2),
    **{f"same {n}-gram overlap": partial(alike, n=n) for n in NGRAMS},
}
"""Which members and non-members an AUC is of, by the overlap of their n-grams with other training documents."""


def plots(found: Mapping[Place, Group]) -> list[Figure]:
    """In the order of the report."""
    scored = {place: group.scored for place, group in found.items() if group.scored}
    owners = list(dict.fromkeys(owner for owner, _ in scored))
    drawn: list[Figure | None] = [_areas(owner, scored) for owner in owners]
    drawn += [_rates(rate, scored) for rate in RATES]
    drawn += [_overlaps(scored), _by_overlap(scored)]
    return [figure for figure in drawn if figure is not None]


def _areas(owner: str, scored: Mapping[Place, Sequence[Scored]]) -> Plot:
    """AUC by attack, a series for each mask."""
    series = []
    for (name, setting), items in scored.items():
        if name == owner:
            known = {attack: estimate(items, f"auc_{attack}", METRICS[f"auc_{attack}"]) for attack in ATTACKS}
            there = {attack: one for attack, one in known.items() if one is not None}
            series.append(with_intervals(setting, list(there), list(there.values())))
    return Plot(
        kind="points",
        title=f"{owner}: AUC by attack",
        x_title="attack",
        y_title="AUC",
        series=series,
        note="0.5 is guessing. Under a mask without the owner its expert has no part: what an attack finds there is a "
        "difference between the documents, or something that the public model met before.",
    )


def _rates(rate: float, scored: Mapping[Place, Sequence[Scored]]) -> Heatmap | None:
    values: dict[tuple[str, str], Estimate] = {
        (f"{owner}, {setting}", attack): found
        for (owner, setting), items in scored.items()
        for attack in ATTACKS
        if (found := estimate(items, "", Separation(attack, "member", rate))) is not None
    }
    fewest = min((len(groups(items)[1]) for items in scored.values()), default=0)
    allowed = int(rate * fewest + 1e-9)
    note = (
        f"The share of members that an attack names while it names at most {rate:.1%} of the non-members. With "
        f"{fewest} non-members that is {allowed or 'none'} of them; guessing finds {rate:.1%} of the members, and the "
        "intervals are rough."
    )
    return _heatmap(f"Members found at {rate:.1%} false alarms", "attack", note, values, centre=None)


def _overlaps(scored: Mapping[Place, Sequence[Scored]]) -> Plot | None:
    """Mean overlap of members and of non-members; the same texts under every mask."""
    shares: dict[str, dict[str, list[float]]] = {}
    for owner in dict.fromkeys(owner for owner, _ in scored):
        items = next(items for (name, _), items in scored.items() if name == owner)
        for kind, group in zip(("members", "non-members"), groups(items), strict=True):
            for n in NGRAMS:
                values = [one.scores[f"overlap_{n}"] for one in group if f"overlap_{n}" in one.scores]
                if values:
                    shares.setdefault(f"{n}-grams", {})[f"{owner}: {kind}"] = values
    if not shares:
        return None
    return Plot(
        kind="bar",
        title="n-grams that other training documents hold",
        x_title="",
        y_title="share of a text's n-grams",
        series=[
            with_intervals(name, list(of), [bootstrap(values) for values in of.values()]) for name, of in shares.items()
        ],
        note="Of members what documents other than themselves hold. Where members share more with the training text "
        "than non-members do, an attack can tell the two apart by that alone.",
    )


def _by_overlap(scored: Mapping[Place, Sequence[Scored]]) -> Heatmap | None:
    values = {
        (f"{owner}, {attack}", version): found
        for (owner, setting), items in scored.items()
        if setting == ALL
        for attack in ATTACKS
        for version, chosen in VERSIONS.items()
        if (found := area(chosen(items), attack)) is not None
    }
    note = (
        "The AUC with everyone in, once non-members that share much with training text are left out, as published "
        "benchmarks do, and once every member has a non-member that shares as much. An AUC that grows with the first "
        "and falls with the second is a difference between the documents, a distribution shift, not a memory."
    )
    return _heatmap("AUC by what members and non-members share with training text", "texts", note, values, centre=0.5)


def _heatmap(
    title: str, x_title: str, note: str, values: Mapping[tuple[str, str], Estimate], *, centre: float | None
) -> Heatmap | None:
    if not values:
        return None
    return heatmap(title, note, values, centre=centre, x_title=x_title, y_title="")
