"""What leaving each owner out does to each owner's texts: paired differences, as matrices and in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from services.evaluation.estimates import Pair, corrected, paired, pairs
from services.evaluation.measured import Scored
from services.evaluation.statistics.intervals import bootstrap
from services.evaluation.suites.owners.measure import ALL, Effect, Measure, without
from shared.contracts.evaluation import Item, Paired
from shared.contracts.figure import Heatmap, Plot, Series

Effects = dict[tuple[str, str], Effect]
"""By whose texts, and who was left out."""


class Point(NamedTuple):
    """What an item scored, and whose it is."""

    measure: str
    owner: str
    setting: str
    scored: Scored


def points(items: Iterable[Item]) -> list[Point]:
    """Of the items that were scored."""
    found = []
    for item in items:
        if item.status == "scored":
            measure, owner = item.set.split("/", 1)
            scored = Scored(item.question_id, item.cluster, b"", item.scores)
            found.append(Point(measure, owner, item.setting, scored))
    return found


def gathered(scored: Sequence[Point], measures: Sequence[Measure]) -> dict[str, Effects]:
    """The effects of each measure, over what was scored under both settings."""
    groups: dict[tuple[str, str], dict[str, list[Scored]]] = {}
    for one in scored:
        groups.setdefault((one.measure, one.owner), {}).setdefault(one.setting, []).append(one.scored)
    return {measure.id: _of_measure(measure, groups) for measure in measures}


def _of_measure(measure: Measure, groups: Mapping[tuple[str, str], Mapping[str, Sequence[Scored]]]) -> Effects:
    metric = measure.effect
    found: dict[tuple[str, str], tuple[list[Pair], Paired]] = {}
    for (of, owner), settings in groups.items():
        for setting, after in settings.items():
            both = pairs(after, settings.get(ALL, [])) if of == measure.id and setting != ALL else []
            if (compared := paired(both, metric, measure.metrics[metric])) is not None:
                found[owner, setting.removeprefix(without(""))] = both, compared
    adjusted = corrected([compared for _, compared in found.values()])
    return {
        place: Effect(
            items=compared.items,
            before=fmean(pair.other.scores[metric] for pair in both),
            after=fmean(pair.one.scores[metric] for pair in both),
            difference=compared.difference.mean,
            low=compared.difference.low,
            high=compared.difference.high,
            p_holm=compared.p_holm,
        )
        for (place, (both, _)), compared in zip(found.items(), adjusted, strict=True)
    }


def matrix(measure: Measure, effects: Effects) -> Heatmap | None:
    """Rows are whose texts, columns who was left out; None without any effect."""
    if not effects:
        return None
    rows = list(dict.fromkeys(owner for owner, _ in effects))
    columns = list(dict.fromkeys(owner for _, owner in effects))
    ratio = measure.effect == "nll"
    values = [
        [None if (found := effects.get((row, column))) is None else _shown(found, ratio) for column in columns]
        for row in rows
    ]
    return Heatmap(
        title=measure.title,
        x_title="owner left out",
        y_title="whose texts",
        columns=columns,
        rows=rows,
        values=values,
        centre=1.0 if ratio else 0.0,
        note=measure.note,
    )


def _shown(effect: Effect, ratio: bool) -> float:
    return round(math.exp(effect.difference) if ratio else effect.difference, 4)


def costs(scored: Sequence[Point]) -> Plot | None:
    """Milliseconds of a question by setting, with intervals; None if none was asked."""
    times: dict[str, list[float]] = {}
    for one in scored:
        if one.measure == "questions":
            times.setdefault(one.setting, []).append(one.scored.scores["milliseconds"])
    if not times:
        return None
    estimates = [bootstrap(values) for values in times.values()]
    return Plot(
        kind="bar",
        title="Time of an answer by who takes part",
        x_title="",
        y_title="milliseconds",
        series=[
            Series(
                name="milliseconds",
                x=list(times),
                y=[one.mean for one in estimates],
                low=[one.low for one in estimates],
                high=[one.high for one in estimates],
            )
        ],
        note="Means over all questions, while others were answered beside, on this machine.",
    )


def told(found: Mapping[str, Effects], measures: Sequence[Measure], names: Mapping[str, str]) -> list[str]:
    """A paragraph for each owner that was left out, for a reader who knows none of the terms."""
    left_out = dict.fromkeys(owner for effects in found.values() for _, owner in effects)
    return [_paragraph(owner, found, measures, names.get(owner, owner)) for owner in left_out]


def _paragraph(owner: str, found: Mapping[str, Effects], measures: Sequence[Measure], name: str) -> str:
    own, others = [], []
    for measure in measures:
        effects = found[measure.id]
        if (owner, owner) in effects:
            own.append(measure.told(owner, owner, effects[owner, owner]))
        elsewhere = {row: effect for (row, column), effect in effects.items() if column == owner and row != owner}
        if clear := [measure.told(row, owner, effect) for row, effect in elsewhere.items() if effect.clear]:
            others += clear
        elif elsewhere:
            rest = ", ".join(elsewhere)
            others.append(f"{measure.id} of the others ({rest}) is not clearly different.")
    without_own = "Nothing was measured on its own texts." if not own else "On its own: " + " And ".join(own)
    return f"{owner} ({name}) left out. {without_own} Elsewhere: {' '.join(others) or 'nothing was measured.'}"
