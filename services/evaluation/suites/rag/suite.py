"""The suite: public sets, closed book and over a grid of retrieval settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from services.evaluation.endpoint import Endpoint
from services.evaluation.errors import BadOption
from services.evaluation.metrics.answers import contains_gold
from services.evaluation.suites.base import Answer, Kind, Plan, Planned
from services.evaluation.suites.drawing import digest
from services.evaluation.suites.outside import Outside, chat, each
from services.evaluation.suites.questions import choose as choose_pulled
from services.evaluation.suites.rag import answers
from services.evaluation.suites.rag import options as multiple_choice
from services.evaluation.suites.rag.curves import by_k
from services.evaluation.suites.rag.plan import CLOSED_BOOK, RagOptions, item, settings
from services.evaluation.suites.served import served
from services.evaluation.suites.sets.problem import Problem
from services.evaluation.suites.sets.reading import choose, known
from shared.contracts.evaluation import Item
from shared.contracts.figure import Figure


class Rag:
    """The suite. An item is one question under one setting."""

    id = "rag"
    version = "1"
    title = "Public sets closed book and with retrieval, by index, k, rewriting, reranking and order"
    description = (
        "Questions of public sets and of the pulled ones. accuracy is of choices (options: the text with the highest "
        "log-probability a character, accuracy_sum in all; letter: the letter in the answer) and of worked problems "
        "(the final answer equals the gold one); contains_gold, f1 and exact_match are of short answers, after SQuAD's "
        "normalisation. gold_in_passages is the share of questions of which a gold answer stands in a passage read; "
        "unparsed the share of answers in which no letter or final answer was found."
    )
    options: type[BaseModel] = RagOptions
    metrics: Mapping[str, Kind] = {
        "accuracy": "proportion",
        "accuracy_sum": "proportion",
        "contains_gold": "proportion",
        "f1": "mean",
        "exact_match": "proportion",
        "gold_in_passages": "proportion",
        "gold_passage_read": "proportion",
        "unparsed": "proportion",
        "truncated": "proportion",
        "milliseconds": "mean",
    }
    contrasts: Sequence[tuple[str, str]] = ()
    compared: Sequence[str] = ["accuracy", "contains_gold", "f1"]

    def plan(self, options: RagOptions, limit: int, seed: int, home: Path) -> Plan:
        """Question by question, each under all settings. Raises BadOption, MissingData."""
        grid = [*([None] if options.closed_book else []), *settings(options)]
        if not grid:
            raise BadOption("indexes", "There is no setting: name an index and a k, or leave closed_book on.")
        items: list[Planned] = []
        used: list[Problem] = []
        warnings: list[str] = []
        for name in dict.fromkeys(options.sets):
            chosen = _chosen(home, name, limit, seed)
            used += chosen
            if len(chosen) < limit:
                warnings.append(f"{name}: it has {len(chosen)} of the {limit} questions asked for.")
            orders = len(options.orders) > 1 or options.orders != ["best_last"]
            if orders and not (chosen[0].choices and options.choices == "options"):
                warnings.append(f"{name}: generated answers read the best passage last; `orders` is not for them.")
            for problem in chosen:
                ordered = problem.choices and options.choices == "options"
                points = [one for one in grid if ordered or one is None or one.order == "best_last"]
                items += [item(problem, name, setting, options, seed) for setting in points]
        if not items:
            raise BadOption("orders", "Generated answers read the best passage last: leave best_last in `orders`.")
        versions = {"questions": f"sha256:{digest(used)}", "model": options.model, "datastore": options.datastore}
        return Plan(items, versions, warnings)

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:
        """The model and experts that are served. Raises EndpointError."""
        return await served(endpoint, versions.get("model"))

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """Choices weighed, or an answer generated. Raises EndpointError or BadAnswer."""
        if planned.ask["method"] == "options":
            return await multiple_choice.weigh(planned, endpoint)
        return await answers.ask(planned, endpoint)

    def outside(self, plan: Plan, there: Outside) -> Plan:
        """Closed book."""
        return each(plan, there, lambda item: _outside(item, there.model))

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """By the kind of question, and what the passages had."""
        details = answer.details
        scores = {"milliseconds": answer.latency_ms}
        if planned.ask["method"] == "options":
            scores |= multiple_choice.right(planned, details)
        else:
            scores |= answers.scored(planned, answer.output, details)
        if planned.setting != CLOSED_BOOK:
            scores["gold_in_passages"] = max(
                (contains_gold(text, planned.gold) for text in details["texts"]), default=0.0
            )
            if planned.ask["document"] is not None:
                read = [passage["document"] for passage in details["passages"]]
                scores["gold_passage_read"] = float(planned.ask["document"] in read)
        return scores

    def contrasts_among(self, settings: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Each setting against closed book; and each with rewriting, reranking or another order against without."""
        against_book = [(one, CLOSED_BOOK) for one in settings if one != CLOSED_BOOK] if CLOSED_BOOK in settings else []
        plain = [(one, one.split("+")[0]) for one in settings if "+" in one]
        return [*against_book, *(pair for pair in plain if pair[1] in settings)]

    def figures(self, items: Iterable[Item]) -> list[Figure]:
        """The score of each set by k."""
        return by_k(items)


def _outside(planned: Planned, model: str) -> dict[str, Any] | None:
    if planned.ask["method"] != "options":
        return chat(planned.ask, model)
    return {**planned.ask, "model": model} if planned.ask["search"] is None else None


def _chosen(home: Path, name: str, limit: int, seed: int) -> list[Problem]:
    """Of a public set, else of a pulled one, which knows the documents its questions are about."""
    pulled = {path.stem for path in (home / "questions").glob("*.jsonl")}
    if name not in pulled or name in known(home):
        return choose(home, name, limit, seed)
    chosen = [
        Problem(id=one.id, question=one.question, answers=one.answers, document=one.document)
        for one in choose_pulled(home, name, "extractive", limit, seed)
    ]
    if not chosen:
        raise BadOption("sets", f"The set {name!r} has no question that can be answered from one passage.")
    return chosen
