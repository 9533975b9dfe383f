"""What the attacks found, for a reader who knows none of the terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from scipy.stats import mannwhitneyu

from services.evaluation.estimates import corrected, estimate, paired, pairs
from services.evaluation.measured import Group, Place, Scored
from services.evaluation.statistics.paired import holm
from services.evaluation.suites.base import Separation
from services.evaluation.suites.membership.attacks import ATTACKS
from services.evaluation.suites.membership.matching import CALIPER, FEWEST, alike, area, groups
from services.evaluation.suites.membership.plan import ALL, PUBLIC, without
from shared.contracts.evaluation import Estimate, Paired

T = TypeVar("T")

SURE = 0.05
"""Of p after Holm's correction, as in the report: for all attacks on all owners together."""

Changes = Mapping[Place, Mapping[str, Paired]]
"""By owner and mask: of each attack what the mask changes."""


def told(found: Mapping[Place, Group], names: Mapping[str, str]) -> list[str]:
    """A paragraph for each owner."""
    scored = {place: group.scored for place, group in found.items() if group.scored}
    owners = dict.fromkeys(owner for owner, _ in scored)
    changes, shifts = _changes(scored), _shifts(scored)
    return [_paragraph(owner, scored, names.get(owner, owner), changes, shifts) for owner in owners]


def _paragraph(
    owner: str,
    scored: Mapping[Place, Sequence[Scored]],
    name: str,
    changes: Changes,
    shifts: Mapping[Place, Mapping[str, float]],
) -> str:
    everyone = scored.get((owner, ALL), [])
    if not everyone:
        return f"{owner} ({name}): nothing was measured with everyone in."
    members, others = groups(everyone)
    if min(len(members), len(others)) < FEWEST:
        return f"{owner} ({name}): {len(members)} members and {len(others)} non-members are too few to say anything of."
    sentences = [
        f"{owner} ({name}): {len(members)} documents that its expert was trained on, {len(others)} that it was not.",
        *_found(everyone),
    ]
    if (setting := _control(owner, scored)) is not None:
        place = owner, setting
        sentences += [*_shift(scored[place], shifts.get(place, {}), setting), *_memory(changes.get(place, {}), setting)]
    return " ".join([*sentences, *_alike(everyone)])


def _control(owner: str, scored: Mapping[Place, Sequence[Scored]]) -> str | None:
    """A mask in which the owner's expert has no part."""
    return next((one for one in (without(owner), PUBLIC) if (owner, one) in scored), None)


def _changes(scored: Mapping[Place, Sequence[Scored]]) -> Changes:
    """What each mask changes against everyone in: the comparisons of the report, corrected together as there."""
    found = {
        (place, attack): one
        for place, items in scored.items()
        if place[1] != ALL and (place[0], ALL) in scored
        for attack in ATTACKS
        if (one := paired(pairs(scored[place[0], ALL], items), attack, Separation(attack, "member"))) is not None
    }
    return _by_place(dict(zip(found, corrected(list(found.values())), strict=True)))


def _shifts(scored: Mapping[Place, Sequence[Scored]]) -> Mapping[Place, Mapping[str, float]]:
    """By owner and control: of each attack p of no difference between the groups, corrected for all of them."""
    found = {
        ((owner, setting), attack): _chance(scored[owner, setting], attack)
        for owner in dict.fromkeys(owner for owner, _ in scored)
        if (setting := _control(owner, scored)) is not None
        for attack in _areas(scored[owner, setting])
    }
    return _by_place(dict(zip(found, holm(list(found.values())), strict=True)))


def _by_place(found: Mapping[tuple[Place, str], T]) -> dict[Place, dict[str, T]]:
    sorted_out: dict[Place, dict[str, T]] = {}
    for (place, attack), one in found.items():
        sorted_out.setdefault(place, {})[attack] = one
    return sorted_out


def _found(everyone: Sequence[Scored]) -> list[str]:
    known = _areas(everyone)
    if not known:
        return ["There are not both kinds, and no attack can be judged."]
    best = max(known, key=lambda attack: known[attack].mean)
    said = [
        f"Shown one of each, an outsider picks the former {_share(known[best])} of the time by {best}, the attack that "
        f"does best of {len(known)}; guessing gives 50%, and the best of several a little more by chance."
    ]
    if "loss" in known and best != "loss":
        said.append(f"By loss it is {_share(known['loss'])}.")
    return said


def _shift(control: Sequence[Scored], chances: Mapping[str, float], setting: str) -> list[str]:
    """What tells the two groups apart though the expert has no part."""
    known = _areas(control)
    apart = [attack for attack, chance in chances.items() if chance < SURE]
    if not apart:
        return [f"{_cap(setting)}, where its expert has no part, no attack is clearly better or worse than guessing."]
    listed = ", ".join(f"{attack} {_share(known[attack])}" for attack in apart)
    return [
        f"{_cap(setting)}, where its expert has no part, attacks tell them apart all the same ({listed}): the two "
        "kinds of document differ (distribution shift), and that much of any figure is no memory."
    ]


def _memory(changes: Mapping[str, Paired], setting: str) -> list[str]:
    """What the expert adds: the paired difference of each attack."""
    if not changes:
        return []
    clear = {attack: one.difference for attack, one in changes.items() if one.p_holm < SURE}
    if not clear:
        return [
            f"With its expert no attack does clearly better or worse than {setting}: no memory of its documents shows."
        ]
    listed = ", ".join(
        f"{attack} by {one.mean:+.2f} ({one.low:+.2f} to {one.high:+.2f})" for attack, one in clear.items()
    )
    return [f"Its expert changes the AUC of {listed}, against {setting}: leaving the owner out takes that signal away."]


def _alike(everyone: Sequence[Scored]) -> list[str]:
    same = alike(everyone, 7)
    found = area(same, "loss")
    if found is None:
        return []
    return [
        f"Among the {len(same) // 2} pairs of a member and a non-member whose 7-grams other documents hold to the same "
        f"share (within {CALIPER:.0%}), loss picks the member {_share(found)} of the time."
    ]


def _chance(scored: Sequence[Scored], attack: str) -> float:
    """The p of an AUC of one half: the Mann-Whitney test."""
    members, others = groups([one for one in scored if attack in one.scores])
    values = ([one.scores[attack] for one in group] for group in (members, others))
    return float(mannwhitneyu(*values).pvalue)


def _areas(scored: Sequence[Scored]) -> dict[str, Estimate]:
    known = {attack: estimate(scored, attack, Separation(attack, "member")) for attack in ATTACKS}
    return {attack: one for attack, one in known.items() if one is not None}


def _share(one: Estimate) -> str:
    return f"{one.mean:.0%} ({one.low:.0%} to {one.high:.0%})"


def _cap(words: str) -> str:
    return words[:1].upper() + words[1:]
