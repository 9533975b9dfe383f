"""Gold questions on an owner's documents, with retrieval, with and without each owner."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from services.evaluation.endpoint import Endpoint, Reply
from services.evaluation.metrics.answers import contains_gold
from services.evaluation.suites.base import Answer, BadAnswer, Kind, Planned
from services.evaluation.suites.drawing import digest, item_seed
from services.evaluation.suites.owners.measure import FEWEST, Effect, Effects, Part, Scope, heatmap
from services.evaluation.suites.questions import GoldQuestion, choose
from services.evaluation.suites.rag_request import DEFAULT_SETS
from services.evaluation.suites.said import said
from shared.contracts.candor import CandorOptions, OwnerChoice, SamplingOptions
from shared.contracts.figure import Heatmap

BUDGET = 32

_CITATION = re.compile(r"\s*\[\d+\]")


class Questions:
    """The share of questions whose gold answer stands in the answer."""

    id = "questions"
    metrics: Mapping[str, Kind] = {
        "contains_gold": "proportion",
        "gold_passage_read": "proportion",
        "truncated": "proportion",
        "milliseconds": "mean",
    }
    effect = "contains_gold"
    asks = "how many questions on documents of {} are answered rightly"
    counted = "questions"
    fewest = FEWEST

    def plan(self, scope: Scope) -> Part:
        """`limit` extractive questions of each default set, each under all settings."""
        part, used = Part(), list[GoldQuestion]()
        for name in DEFAULT_SETS:
            chosen = choose(scope.home, name, "extractive", scope.limit, scope.seed)
            used += chosen
            part.items += [
                self._item(question, setting, out, scope)
                for question in chosen
                for setting, out in scope.settings(scope.left_out)
            ]
        asked = {question.owner for question in used}
        if unasked := [owner.id for owner in scope.owners if owner.id not in asked]:
            part.warnings.append(f"questions: there are none on the documents of {', '.join(unasked)}.")
        part.digest = digest(used)
        return part

    def _item(self, question: GoldQuestion, setting: str, out: str | None, scope: Scope) -> Planned:
        sampling = SamplingOptions(samples=1, budget=BUDGET)
        extension = CandorOptions(sampling=sampling, trace=False, strict=True)
        if out is not None:
            extension.owners = OwnerChoice(exclude=[out])
        seed = item_seed(scope.seed, question.id)
        body: dict[str, Any] = {
            "model": "candor",
            "messages": [{"role": "user", "content": question.question}],
            "seed": seed,
            "temperature": 0.0,
            "candor": extension.model_dump(mode="json", exclude_unset=True),
        }
        return scope.item(
            (self.id, question.owner),
            (question.id, question.question),
            setting,
            {"left_out": out, "document": question.document, "body": body},
            gold=question.answers,
            cluster=question.document,
        )

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """One chat completion. Raises EndpointError, or BadAnswer where the owner left out took part all the same."""
        return _read(await endpoint.post("/v1/chat/completions", planned.ask["body"], item=planned.id), planned)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """Of the text without its citation marks."""
        return {
            "contains_gold": contains_gold(_CITATION.sub("", answer.output), planned.gold),
            "gold_passage_read": float(planned.ask["document"] in answer.details["documents"]),
            "truncated": float(answer.details["finish_reason"] == "length"),
            "milliseconds": answer.latency_ms,
        }

    def matrix(self, effects: Effects) -> Heatmap:
        """Differences of shares."""
        note = (
            "Below 0: of the questions on the row's documents fewer are answered when the column's owner is left out. "
            "Only owners with questions that can be answered from one passage have a row."
        )
        differences = {place: effect.difference for place, effect in effects.items()}
        title = "Questions answered with an owner left out, less those answered with all"
        return heatmap(title, note, differences, centre=0.0)

    def told(self, owner: str, left_out: str, effect: Effect) -> str:
        """Counts, not shares."""
        before, after = round(effect.before.mean * effect.items), round(effect.after.mean * effect.items)
        return (
            f"Of {effect.items} questions on documents of {owner}, {before} are answered rightly with everyone in and "
            f"{after} without {left_out}."
        )


def _read(reply: Reply, planned: Planned) -> Answer:
    try:
        choice, report = reply.body["choices"][0], reply.body["candor"]
        passages = [(str(one["document"]), str(one["owner"])) for one in report["passages"]]
        effective, failed = [str(owner) for owner in report["owners"]["effective"]], report.get("failed", [])
        output, finished = said(choice), choice["finish_reason"]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadAnswer(f"this is no answer of a Candor stack: {str(reply.body)[:200]}") from error
    if failed:
        raise BadAnswer(f"a stage failed: {failed}")
    if planned.ask["left_out"] in {*effective, *(owner for _, owner in passages)}:
        raise BadAnswer(f"the owner {planned.ask['left_out']} was left out and took part all the same")
    details = {"finish_reason": finished, "documents": [document for document, _ in passages], "owners": effective}
    tokens = (reply.body.get("usage") or {}).get("completion_tokens")
    return Answer(f"user: {planned.question}", output, tokens, reply.latency_ms, details)
