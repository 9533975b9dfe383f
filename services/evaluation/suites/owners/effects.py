"""What leaving each owner out does to each owner's texts: paired differences, as figures and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.evaluation.estimates import Pair, both_scored, corrected, estimate, paired, pairs
from services.evaluation.measured import Group, Place, Scored
from services.evaluation.suites.curve import with_intervals
from services.evaluation.suites.owners.measure import ALL, SURE, Effect, Effects, Measure, verdict, without
from shared.contracts.evaluation import Estimate, Paired
from shared.contracts.figure import Plot


def gathered(groups: Mapping[Place, Group], measures: Sequence[Measure]) -> dict[str, Effects]:
    """The effects of each measure, over what was scored under both settings."""
    return {measure.id: _of_measure(groups, measure) for measure in measures}


def _of_measure(groups: Mapping[Place, Group], measure: Measure) -> Effects:
    found: dict[tuple[str, str], _Compared] = {}
    for (name, setting), group in groups.items():
        about, _, owner = name.partition("/")
        if about == measure.id and setting != ALL and (name, ALL) in groups:
            compared = _compared(group.scored, groups[name, ALL].scored, measure)
            if compared is not None:
                found[owner, setting.removeprefix(without(""))] = compared
    adjusted = corrected([one.paired for one in found.values()])
    return {
        place: Effect(paired.items, one.before, one.after, paired.difference, paired.p_holm)
        for (place, one), paired in zip(found.items(), adjusted, strict=True)
    }


class _Compared(NamedTuple):
    before: Estimate
    after: Estimate
    paired: Paired


def _compared(after: Sequence[Scored], before: Sequence[Scored], measure: Measure) -> _Compared | None:
    metric, kind = measure.effect, measure.metrics[measure.effect]
    both = both_scored(pairs(after, before), metric, kind)
    found = (
        estimate([pair.other for pair in both], metric, kind),
        estimate([pair.one for pair in both], metric, kind),
        paired(both, metric, kind),
    )
    return None if found[0] is None or found[1] is None or found[2] is None else _Compared(found[0], found[1], found[2])


def costs(groups: Mapping[Place, Group]) -> Plot | None:
    """Milliseconds of an answer more with each owner left out, paired by question; None if none was asked both ways."""
    asked: dict[str, list[Pair]] = {}
    for (name, setting), group in groups.items():
        if name.startswith("questions/") and setting != ALL and (name, ALL) in groups:
            asked.setdefault(setting, []).extend(pairs(group.scored, groups[name, ALL].scored))
    known = {setting: one for setting, some in asked.items() if (one := paired(some, "milliseconds", "mean"))}
    if not known:
        return None
    found = dict(zip(known, corrected(list(known.values())), strict=True))
    clear = [setting for setting, one in found.items() if one.p_holm < SURE]
    return Plot(
        kind="bar",
        title="Time of an answer with an owner left out, less that with all",
        x_title="",
        y_title="milliseconds more",
        series=[with_intervals("milliseconds more", list(found), [one.difference for one in found.values()])],
        note=f"Paired by question, over all that were answered both ways. Beyond chance after Holm's correction: "
        f"{', '.join(clear) or 'none'}. On this machine, while others were answered beside; each question was asked "
        "with all first, so that whatever is kept of a question makes the later answers quicker.",
    )


def told(found: Mapping[str, Effects], measures: Sequence[Measure], names: Mapping[str, str]) -> list[str]:
    """A paragraph for each owner that was left out, for a reader who knows none of the terms."""
    left_out = dict.fromkeys(owner for effects in found.values() for _, owner in effects)
    return [_paragraph(owner, found, measures, names.get(owner, owner)) for owner in left_out]


def _paragraph(owner: str, found: Mapping[str, Effects], measures: Sequence[Measure], name: str) -> str:
    """Its own texts, then those of others, then what too little was measured of: a figure of few would mislead."""
    own, others, few = list[str](), list[str](), list[str]()
    for measure in measures:
        rows = {row: effect for (row, column), effect in found[measure.id].items() if column == owner}
        enough = {row: effect for row, effect in rows.items() if effect.items >= measure.fewest}
        unclear = [row for row, effect in enough.items() if row != owner and not effect.clear]
        for row, effect in enough.items():
            if row not in unclear:
                said = own if row == owner else others
                said += [measure.told(row, owner, effect), verdict(effect)]
        if unclear:
            others.append(f"It makes no clear difference to {measure.asks.format(_listed(unclear))}.")
        if rest := [row for row in rows if row not in enough]:
            few.append(
                f"Fewer than {measure.fewest} {measure.counted} are too few to say whether it changes "
                f"{measure.asks.format(_listed(rest))}."
            )
    if not any((owner, owner) in found[measure.id] for measure in measures):
        own = ["Nothing was measured on its own texts."]
    return " ".join([f"{owner} ({name}) was left out.", *own, *others, *few])


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
