"""A task of the suite: items of one book that are asked in the same way, and what is scored of their answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from services.evaluation.books.file import Book
from services.evaluation.endpoint import Endpoint
from services.evaluation.measured import Group
from services.evaluation.suites.base import Answer, Kind, Planned
from services.evaluation.suites.copybench.asked import Setting, Through, What, request
from services.evaluation.suites.drawing import drawn, item_seed

Measured = Literal["literal", "characters", "events", "qa", "fluency"]
"""What a run can be asked to measure; a task measures one of them or several."""

T = TypeVar("T")


@dataclass(frozen=True)
class Scope:
    """What a run asks about one book.

    `judge`: the endpoint that judges stories; None for the endpoint's own `judges`, the owners whose experts do so, the
    same in every setting. `experts`: the names of those experts.
    """

    book: Book
    settings: Sequence[Setting]
    measures: Collection[Measured]
    through: Through
    limit: int
    seed: int
    story_tokens: int
    judge: str | None
    judges: Sequence[str]
    experts: Sequence[str]

    def draw(self, found: Sequence[T]) -> list[T]:
        """At most `limit` of the book's, by the seed: a smaller limit gives the first of a larger one's."""
        places = drawn(range(len(found)), self.seed, lambda place: f"{self.book.id}:{place}")
        return [found[place] for place in places[: self.limit]]

    def items(
        self,
        of: tuple[str, int],
        ask: tuple[What, str, int],
        *,
        question: str,
        gold: Sequence[str] = (),
        about: Mapping[str, Any] | None = None,
    ) -> Iterator[Planned]:
        """One question under every setting.

        `of`: the task, and where in the book; `ask`: what is to be gone on with, the text, and the most tokens of the
        answer; `about`: what the scores need beside.
        """
        (task, place), (what, text, tokens) = of, ask
        name = f"{task}/{self.book.id}/{place}"
        seed = item_seed(self.seed, name)
        for setting in self.settings:
            yield Planned(
                id=f"{name}@{setting.name}",
                question_id=name,
                set=f"{task}/{self.book.id}",
                setting=setting.name,
                question=question,
                gold=[*gold],
                seed=seed,
                ask={
                    "measure": task,
                    **request(text, what, setting, self.through, tokens=tokens, seed=seed),
                    **(about or {}),
                },
            )


@dataclass
class Part:
    """What a task plans of a book: items, and what it leaves out, in sentences that need not name the book."""

    items: list[Planned] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Task(Protocol):
    """One way of asking. An item's `ask["measure"]` is the task's id, and its `set` begins with it."""

    id: str
    measures: Collection[Measured]
    """What asks for the task."""
    metrics: Mapping[str, Kind]
    compared: Sequence[str]
    """The metrics to compare between settings."""
    costs: Mapping[str, str]
    """Of `compared`: those in which less is what a mitigation costs, and how they are called in words."""

    def plan(self, scope: Scope) -> Part:
        """The items of a book."""
        ...

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """Raises EndpointError or BadAnswer."""
        ...

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """What `metrics` are made of."""
        ...

    def told(self, group: Group) -> str:
        """What was found under one setting, as the rest of a sentence. There is at least one scored item."""
        ...

    def unjudged(self, group: Group) -> list[str]:
        """What has no score under a setting, why, and what to do: said once of all settings."""
        ...


def values(group: Group, metric: str) -> list[float]:
    """A metric of the items that have it."""
    return [one.scores[metric] for one in group.scored if metric in one.scores]
