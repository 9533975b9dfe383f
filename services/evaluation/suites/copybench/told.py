"""A run in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from services.evaluation.estimates import paired, pairs
from services.evaluation.measured import Group, Place, gather
from services.evaluation.suites.copybench.task import Task
from services.evaluation.suites.owners.measure import ALL
from shared.contracts.evaluation import Item


def told(items: Iterable[Item], tasks: Mapping[str, Task]) -> list[str]:
    """A paragraph for each book and task: what was found under each setting, and what each takes from `all`."""
    groups = {place: group for place, group in gather(items).items() if group.scored}
    paragraphs: dict[str, list[str]] = {}
    for (name, setting), group in groups.items():
        paragraphs.setdefault(name, []).append(f"{setting}: {_of(name, tasks).told(group)}")
    for name, said in paragraphs.items():
        of = [group for (one, _), group in groups.items() if one == name]
        said.extend(dict.fromkeys(note for group in of for note in _of(name, tasks).unjudged(group)))
        said.extend(
            f"Its cost in {words}, against {ALL}: {'; '.join(found)}."
            for metric, words in _of(name, tasks).costs.items()
            if (found := [*_costs(name, metric, groups)])
        )
    return [f"{name}. " + " ".join(said) for name, said in paragraphs.items()]


def _costs(name: str, metric: str, groups: Mapping[Place, Group]) -> Iterator[str]:
    """How much lower the metric is under each setting, over the same questions, with the paired interval."""
    everyone = groups.get((name, ALL))
    for (one, setting), group in groups.items():
        if everyone is None or one != name or setting == ALL:
            continue
        if (found := paired(pairs(everyone.scored, group.scored), metric, "mean")) is not None:
            cost = found.difference
            clear = "" if cost.low > 0 else ", not clearly any" if cost.high >= 0 else ", a gain"
            yield f"{setting} {cost.mean:.2f} ({cost.low:.2f} to {cost.high:.2f}){clear}"


def _of(name: str, tasks: Mapping[str, Task]) -> Task:
    return tasks[name.partition("/")[0]]
