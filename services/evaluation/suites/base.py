"""The protocol of a suite: plan items, answer one, score it; and what it may say beyond that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, StringConstraints

from services.evaluation.endpoint import Endpoint
from shared.contracts.evaluation import Item
from shared.contracts.figure import Figure


@dataclass(frozen=True)
class Separation:
    """The kind of a metric over two groups of items: how well the score `score` tells those whose score `group` is 1
    from those whose is 0, the lower taken for 1. AUC, or with `fpr` the share found at so many false alarms."""

    score: str
    group: str
    fpr: float | None = None


KINDS = ("proportion", "mean", "continuous")
Kind = Literal["proportion", "mean", "continuous"] | Separation
"""What a cell has of its items. A mean is that of the items' scores of the metric's name, with the bootstrap's
interval, or Wilson's where all are zeros or ones; continuous is a mean of what no single outcome is, such as a share of
many answers or a change, of which the interval is the bootstrap's whatever they are; a proportion is of zeros and ones:
its interval is Wilson's and its test McNemar's."""


ServedName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""What an endpoint calls a model or a datastore."""

RATES = ("truncated", "unparsed")
"""Scores that stand beside every other, where a suite has them; they need not be among its metrics."""


@dataclass(frozen=True)
class Planned:
    """One item to be answered: a question under a setting. `ask` is JSON of the suite's own, kept until then.

    `id` is unique in a run. Items of one question under several settings have the same `question_id`, `gold` and
    `seed`: they are compared in pairs. Questions that are not independent of each other, such as those on one
    document, name the same `cluster`; without one a question is its own.
    """

    id: str
    question_id: str
    set: str
    setting: str
    question: str
    gold: list[str]
    seed: int
    ask: dict[str, Any]
    cluster: str | None = None


@dataclass(frozen=True)
class Plan:
    """The items of a run in the order in which they are asked, versions of what was used, and what was left out."""

    items: list[Planned]
    versions: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What the endpoint answered. `details` is JSON that is kept with the item and is enough to score it again."""

    prompt: str
    output: str
    tokens: int | None
    latency_ms: float
    details: dict[str, Any]


class BadAnswer(Exception):
    """The endpoint answered something that cannot be scored; the item fails with this message."""


class Suite(Protocol):
    """What the service needs of a suite. Raise the version when plan, prompt or scores change."""

    id: str
    version: str
    title: str
    description: str
    options: type[BaseModel]
    metrics: Mapping[str, Kind]
    """What a cell has, and of which kind; in the order of the report. `truncated` (cut off by the token budget)
    and `unparsed` (no answer could be found in the output) are proportions that stand beside every score."""
    contrasts: Sequence[tuple[str, str]]
    """Pairs of settings to compare: (setting, against)."""
    compared: Sequence[str]
    """The metrics to compare."""

    def plan(self, options: Any, limit: int, seed: int, home: Path) -> Plan:
        """The items, the same for the same arguments and data. Raises MissingData or BadOption."""
        ...

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:
        """Versions of what answers, before the first item. `versions` are the plan's. Raises EndpointError."""
        ...

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """Ask the endpoint. Raises EndpointError or BadAnswer."""
        ...

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """The scores of an answer, what `metrics` are made of. Needs no endpoint, so that a run can be scored again."""
        ...


@runtime_checkable
class Contrasting(Protocol):
    """A suite whose settings depend on its options says which of them to compare, in place of `contrasts`."""

    def contrasts_among(self, settings: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Pairs of these settings, those of a run's items: (setting, against)."""
        ...


@runtime_checkable
class Drawing(Protocol):
    """A suite that has plots for the report, as data."""

    def figures(self, items: Iterable[Item]) -> list[Figure]:
        """The plots of the items that are done, in the order of the report. The items can be iterated once."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A suite that can say in plain words what its figures mean to a reader who knows none of the terms."""

    def summary(self, items: Iterable[Item]) -> list[str]:
        """A sentence or two a paragraph, over the items that are done, which can be iterated once."""
        ...


@runtime_checkable
class Keeping(Protocol):
    """A suite whose items have scores that no metric is made of, such as for its own figures."""

    unreported: Sequence[str]
    """Their names."""


@runtime_checkable
class Local(Protocol):
    """A suite that asks no endpoint: what it measures is on this machine."""

    local: Literal[True]


@runtime_checkable
class Beside(Protocol):
    """A suite whose items ask other endpoints beside the one that is measured, such as a judge."""

    def others(self, options: Any) -> Mapping[str, str]:
        """Their names by the option that has it: a run that names one that is not there is refused."""
        ...


def names(suite: Suite) -> set[str]:
    """What its items can be scored by."""
    made_of = [kind for kind in suite.metrics.values() if isinstance(kind, Separation)]
    used = {name for kind in made_of for name in (kind.score, kind.group)}
    return {*suite.metrics, *RATES, *used, *(suite.unreported if isinstance(suite, Keeping) else ())}


def others(suite: Suite, options: BaseModel) -> Mapping[str, str]:
    """The endpoints that a suite asks beside the one that is measured, by option."""
    return suite.others(options) if isinstance(suite, Beside) else {}


def contrasts(suite: Suite, settings: Sequence[str]) -> Sequence[tuple[str, str]]:
    """The pairs of settings that a report compares."""
    return suite.contrasts_among(settings) if isinstance(suite, Contrasting) else suite.contrasts


def figures(suite: Suite, items: Iterable[Item]) -> list[Figure]:
    """The plots of a run; none of a suite that draws none."""
    return suite.figures(items) if isinstance(suite, Drawing) else []


def summary(suite: Suite, items: Iterable[Item]) -> list[str]:
    """The run in plain words; nothing of a suite that says nothing."""
    return suite.summary(items) if isinstance(suite, Telling) else []
