"""Passages of a book to be gone on from: does the model go on as the book does?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean

from services.evaluation.endpoint import Endpoint
from services.evaluation.measured import Group
from services.evaluation.metrics.copying import COPIED, rouge_l
from services.evaluation.suites.base import Answer, Kind, Planned
from services.evaluation.suites.copybench.asked import read
from services.evaluation.suites.copybench.task import Measured, Part, Scope, values

TOKENS = 100
"""Of a passage's continuation: the 50 tokens that count are some 75 of a model's. Upstream has 200."""


class Literal:
    """ROUGE-L of a continuation with the book's own."""

    id = "literal"
    measures: Collection[Measured] = ["literal"]
    metrics: Mapping[str, Kind] = {"rouge_l": "mean", "literal_copied": "proportion"}
    compared: Sequence[str] = ("rouge_l", "literal_copied")
    costs: Mapping[str, str] = {}

    def plan(self, scope: Scope) -> Part:
        """At most `limit` passages under every setting."""
        return Part(
            [
                item
                for passage in scope.draw(scope.book.passages)
                for item in scope.items(
                    (self.id, passage.at),
                    ("passage", passage.prefix, TOKENS),
                    question=passage.prefix,
                    gold=[passage.reference],
                )
            ]
        )

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """The continuation. Raises EndpointError or BadAnswer."""
        return read(await endpoint.post(planned.ask["path"], planned.ask["body"], item=planned.id), planned)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """The likeness, and whether it makes a copy."""
        found = rouge_l(answer.output, planned.gold[0])
        return {"rouge_l": found, "literal_copied": float(found >= COPIED)}

    def unjudged(self, group: Group) -> list[str]:  # noqa: ARG002 - of the protocol
        """Nothing: no judge is asked."""
        return []

    def told(self, group: Group) -> str:
        """How many passages are copies."""
        copied, likeness = values(group, "literal_copied"), values(group, "rouge_l")
        return (
            f"{sum(copied):.0f} of {len(copied)} passages are gone on with as the book does (ROUGE-L "
            f"{fmean(likeness):.2f} on average, {max(likeness):.2f} at most)."
        )
