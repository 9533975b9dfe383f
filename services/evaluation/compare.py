"""Runs against each other: the same questions, asked under other settings, of another model, of another version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.evaluation.cautions import Basis, bases, basis_between, few_clusters
from services.evaluation.errors import NotComparable
from services.evaluation.estimates import Pair, corrected, paired, pairs
from services.evaluation.measured import Group, Place
from services.evaluation.report import cells
from services.evaluation.suites.base import Kind
from shared.contracts.evaluation import Pairing, Run, RunCells, RunDifference, RunsCompared


@dataclass(frozen=True)
class Measured:
    """A run, its items as numbers, its metrics, and those of them that its suite compares."""

    run: Run
    groups: Mapping[Place, Group]
    metrics: Mapping[str, Kind]
    compared: Sequence[str]


def compare_runs(found: Sequence[Measured]) -> RunsCompared:
    """Every run against the first. Raises NotComparable when two have no question in common."""
    base, others = found[0], found[1:]
    shared = [name for name in base.metrics if all(name in other.metrics for other in others)]
    compared = [name for name in base.compared if name in shared] or shared
    pairings: list[Pairing] = []
    differences: list[tuple[RunDifference, Basis]] = []
    for other in others:
        mine = list(_paired_places(other, base))
        pairings += [pairing for pairing, _ in mine]
        if not any(pairing.paired for pairing, _ in mine):
            raise NotComparable(
                f"The runs {base.run.id} and {other.run.id} have no scored question of a set in common, asked under "
                "the same setting or under the only one that each has."
            )
        differences += [
            difference
            for pairing, both in mine
            for metric in compared
            if (difference := _difference(pairing, both, metric, base.metrics[metric])) is not None
        ]
    runs, kinds = [one.run for one in found], {name: base.metrics[name] for name in shared}
    scores = [RunCells(run=one.run.id, cells=cells(one.groups, kinds)) for one in found]
    return RunsCompared(
        runs=runs,
        metrics=shared,
        differing=_differing(runs),
        cells=scores,
        pairings=pairings,
        differences=corrected([difference for difference, _ in differences]),
        warnings=[
            *_warnings(found, shared, pairings),
            *few_clusters([*(of for one in found for of in bases(one.groups, kinds)), *(of for _, of in differences)]),
        ],
    )


def matched(places: Sequence[Place], against: Sequence[Place]) -> Iterator[tuple[Place, Place]]:
    """Which set and setting of one run is compared with which of another.

    Those of the same name; and the only ones that each has of a set, whatever their names.
    """
    for name in dict.fromkeys(one for one, _ in places):
        mine = [place for place in places if place[0] == name]
        theirs = [place for place in against if place[0] == name]
        same = [place for place in mine if place in theirs]
        if not same and len(mine) == len(theirs) == 1:
            yield mine[0], theirs[0]
        yield from ((place, place) for place in same)


def _paired_places(run: Measured, base: Measured) -> Iterator[tuple[Pairing, list[Pair]]]:
    for place, against in matched(list(run.groups), list(base.groups)):
        one, other = run.groups[place].scored, base.groups[against].scored
        together = pairs(one, other)
        same = [pair for pair in together if pair.one.asked == pair.other.asked]
        pairing = Pairing(
            set=place[0],
            run=run.run.id,
            setting=place[1],
            against=base.run.id,
            against_setting=against[1],
            paired=len(same),
            unpaired=len(one) + len(other) - 2 * len(together),
            different=len(together) - len(same),
        )
        yield pairing, same


def _difference(pairing: Pairing, both: Sequence[Pair], metric: str, kind: Kind) -> tuple[RunDifference, Basis] | None:
    found = paired(both, metric, kind)
    if found is None:
        return None
    where = pairing.model_dump(include={"set", "run", "setting", "against", "against_setting"})
    return RunDifference(metric=metric, **where, **dict(found)), basis_between(pairing.set, both, metric, kind)


def _differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """What the runs were made with, of which they do not all have the same."""
    made_with = [
        {
            "suite": run.suite,
            "seed": run.seed,
            "limit": run.limit,
            **{f"options.{name}": value for name, value in run.options.items()},
            **{f"versions.{name}": value for name, value in run.versions.items()},
        }
        for run in runs
    ]
    names = dict.fromkeys(name for one in made_with for name in one)
    values = {name: [one.get(name) for one in made_with] for name in names}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each)}


def _warnings(found: Sequence[Measured], shared: Sequence[str], pairings: Sequence[Pairing]) -> list[str]:
    unfinished = [one.run.id for one in found if one.run.status in ("queued", "running")]
    left = sorted({name for one in found for name in one.metrics} - {*shared})
    different = sum(pairing.different for pairing in pairings)
    ids = [one.run.id for one in found]
    return [
        *(
            f"{one.run.id} is {one.run.rescored_from} scored again: both are of the same answers."
            for one in found
            if one.run.rescored_from in ids
        ),
        *(f"{run} has not ended: its figures are of the items done so far." for run in unfinished),
        *([f"Not compared, because not every run has it: {', '.join(left)}."] if left else []),
        *([f"{different} questions have the same id and another text or gold answer: left out."] if different else []),
    ]
