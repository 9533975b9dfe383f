"""Cloze questions on a book: what a mitigation costs a model that is to understand a text before it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean

from services.evaluation.books.file import Question
from services.evaluation.endpoint import Endpoint
from services.evaluation.measured import Group
from services.evaluation.metrics.answers import exact_match, token_f1
from services.evaluation.metrics.cloze import named
from services.evaluation.suites.base import Answer, Kind, Planned
from services.evaluation.suites.copybench.asked import read
from services.evaluation.suites.copybench.task import Measured, Part, Scope, values

TOKENS = 16
"""Of an answer: a name of four words has some ten."""

BLANK = "_____"


class Cloze:
    """Whose name was left out. Through completions the text is gone on from at the blank; a chat sees both sides."""

    id = "qa"
    measures: Collection[Measured] = ["qa"]
    metrics: Mapping[str, Kind] = {"qa_f1": "mean", "qa_exact": "proportion", "qa_commonest": "proportion"}
    compared: Sequence[str] = ("qa_f1",)
    costs: Mapping[str, str] = {"qa_f1": "F1 of names"}

    def plan(self, scope: Scope) -> Part:
        """At most `limit` questions under every setting."""
        book = scope.book
        if not book.questions:
            return Part(
                warnings=[
                    "qa is left out, since the book has no questions. They need two persons with names; if it has "
                    "them, it was made before there were questions: make it again with `candor eval book`."
                ]
            )
        return Part([item for question in scope.draw(book.questions) for item in self._items(question, scope)])

    def _items(self, question: Question, scope: Scope) -> Sequence[Planned]:
        shown = f"{question.text} {BLANK}{question.rest}"
        text = question.text if scope.through == "completions" else shown
        return [
            *scope.items(
                (self.id, question.at),
                ("name", text, TOKENS),
                question=shown,
                gold=question.answers,
                about={"commonest": question.commonest},
            )
        ]

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """What stands in the blank, and perhaps more. Raises EndpointError or BadAnswer."""
        return read(await endpoint.post(planned.ask["path"], planned.ask["body"], item=planned.id), planned)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """Of the name that `named` reads, the best over the person's names.

        `unparsed`: there is none. `truncated`: the tokens did not do for the name; what comes after it is no matter.
        """
        name = named(answer.output)
        cut = answer.details["finish_reason"] == "length" and answer.output.rstrip().endswith(name or "\0")
        return {
            "qa_f1": token_f1(name, planned.gold),
            "qa_exact": exact_match(name, planned.gold),
            "qa_commonest": exact_match(planned.ask["commonest"], planned.gold),
            "unparsed": float(not name),
            "truncated": float(cut),
        }

    def unjudged(self, group: Group) -> list[str]:  # noqa: ARG002 - of the protocol
        """Nothing: no judge is asked."""
        return []

    def told(self, group: Group) -> str:
        """How many names are right, beside those that need no understanding."""
        right, f1, common = (values(group, metric) for metric in ("qa_exact", "qa_f1", "qa_commonest"))
        return (
            f"{sum(right):.0f} of {len(right)} names that were left out are found (F1 {fmean(f1):.2f}); always naming "
            f"whom the text names most would find {sum(common):.0f}."
        )
