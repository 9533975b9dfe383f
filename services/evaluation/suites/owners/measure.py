"""A measure of what an owner's data does: items of one owner's texts, each with everyone in and with one owner out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites import matrix
from services.evaluation.suites.base import Answer, Kind, Planned
from services.evaluation.suites.drawing import item_seed
from shared.contracts.evaluation import Estimate
from shared.contracts.figure import Heatmap
from shared.owners import Owner

FEWEST = 5
"""Texts or questions from which on anything is said of an effect in words: fewer cannot show one beyond chance."""

ALL = "all"
"""The setting in which every owner takes part whose default is in."""


SURE = 0.05
"""Below it, p after Holm's correction is more than chance."""


def without(owner: str) -> str:
    """The setting in which one owner is left out."""
    return f"without {owner}"


@dataclass(frozen=True)
class Scope:
    """What a run is about: the owners of the registry, those left out in turn, and how much is asked of each."""

    owners: Sequence[Owner]
    left_out: Sequence[str]
    limit: int
    seed: int
    home: Path

    def default(self, leave_out: str | None = None) -> list[str]:
        """The owners that take part: those whose default is in, and public ones, less one."""
        return [owner.id for owner in self.owners if owner.takes_part and owner.id != leave_out]

    @property
    def with_expert(self) -> list[str]:
        """The owners of whom the model has an expert: leaving out another changes no probability."""
        return [owner.id for owner in self.owners if owner.experts]

    def settings(self, left_out: Sequence[str]) -> list[tuple[str, str | None]]:
        """With everyone in, and with each of these out: the setting and who is left out in it."""
        return [(ALL, None), *((without(one), one) for one in left_out)]

    def settings_of_experts(self) -> list[tuple[str, str | None]]:
        """Those that change the model."""
        return self.settings([one for one in self.left_out if one in self.with_expert])

    def item(
        self,
        about: tuple[str, str],
        of: tuple[str, str],
        setting: str,
        ask: Mapping[str, Any],
        *,
        gold: Sequence[str] = (),
        cluster: str | None = None,
    ) -> Planned:
        """An item as `Measure` has it. `about`: the measure and whose text; `of`: its id and its words."""
        (measure, owner), (identity, words) = about, of
        return Planned(
            id=f"{measure}/{identity}@{setting}",
            question_id=f"{measure}/{identity}",
            set=f"{measure}/{owner}",
            setting=setting,
            question=words,
            gold=list(gold),
            seed=item_seed(self.seed, identity),
            ask={"measure": measure, "owner": owner, **ask},
            cluster=cluster,
        )

    def off(self, leave_out: str | None) -> list[str]:
        """The experts that must not compute when an owner is left out."""
        return [expert for owner in self.owners if owner.id == leave_out for expert in owner.experts]


@dataclass
class Part:
    """What a measure plans: items, a hash of what they are about, and what it leaves out, in words."""

    items: list[Planned] = field(default_factory=list)
    digest: str = ""
    warnings: list[str] = field(default_factory=list)


class Measure(Protocol):
    """One column of what is known of an owner.

    An item's `ask["measure"]` is the measure's id and `ask["owner"]` whose texts it is about; its `set` begins with
    the id, its `setting` is ALL or `without(owner)`.
    """

    id: str
    metrics: Mapping[str, Kind]
    effect: str
    """Of `metrics`: the one that says what leaving an owner out does."""
    asks: str
    """What leaving an owner out may change, with a place for whose texts: "how well the model predicts texts of {}"."""
    counted: str
    """What its items are called."""
    fewest: int
    """Items from which on anything is said of an effect in words."""

    def plan(self, scope: Scope) -> Part:
        """The items. Raises MissingData, BadOption."""
        ...

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """Raises EndpointError or BadAnswer."""
        ...

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """What `metrics` are made of."""
        ...

    def matrix(self, effects: Effects) -> Heatmap:
        """Rows are whose texts, columns who was left out. There is at least one effect."""
        ...

    def told(self, owner: str, left_out: str, effect: Effect) -> str:
        """A whole sentence on what leaving an owner out does to (the same or another) owner's texts, for a reader who
        knows none of the terms. `verdict` is said after it."""
        ...


@dataclass(frozen=True)
class Effect:
    """Of leaving one owner out, over the same items: the metric before and after, and the paired difference.

    `p_holm` is the paired test's, as in the report, after Holm's correction for all effects of the measure.
    """

    items: int
    before: Estimate
    after: Estimate
    difference: Estimate
    p_holm: float

    @property
    def clear(self) -> bool:
        """Whether it is more than chance among so many effects."""
        return self.p_holm < SURE


def verdict(effect: Effect) -> str:
    """Whether the figures that were just told differ by more than chance, in a sentence."""
    if effect.difference.low == effect.difference.high == 0:
        return "That is no difference."
    return "That is more than chance." if effect.clear else "That may be chance alone."


Effects = Mapping[tuple[str, str], Effect]
"""By whose texts, and who was left out."""


def heatmap(title: str, note: str, values: Mapping[tuple[str, str], Estimate], *, centre: float) -> Heatmap:
    """A matrix of figures by whose texts they are about and who was left out."""
    return matrix.heatmap(title, note, values, centre=centre, x_title="owner left out", y_title="whose texts")
