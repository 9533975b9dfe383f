"""`rag-qa`: short-answer questions of the pulled sets, closed book, with retrieval, and with an owner left out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from services.evaluation.endpoint import Endpoint
from services.evaluation.errors import BadOption
from services.evaluation.metrics.answers import contains_gold, exact_match, token_f1
from services.evaluation.suites import outside
from services.evaluation.suites.base import Answer, Kind, Plan, Planned
from services.evaluation.suites.drawing import digest
from services.evaluation.suites.questions import GoldQuestion, choose
from services.evaluation.suites.rag_answer import read_answer
from services.evaluation.suites.rag_request import RagQaOptions, plan_item
from services.evaluation.suites.served import served
from shared.owners import load_owners


class RagQa:
    """The suite. Every item is one chat completion, planned in full before the run begins."""

    id = "rag-qa"
    version = "1"
    title = "Question answering with and without retrieval, and without the owner of the answer"
    description = (
        "Gold questions of the pulled sets, asked closed book (no retrieval), with retrieval (rag), and with retrieval "
        "while the owner of the passage is left out (rag_without_owner; not for public owners, which are always on). "
        "contains_gold looks at the whole answer, f1 and exact_match at the short answer that the gateway finds in it, "
        "all after SQuAD's normalisation; gold_passage_read is the share of answers for which the gold document was "
        "among the passages read; truncated is the share cut off by the budget."
    )
    options: type[BaseModel] = RagQaOptions
    metrics: Mapping[str, Kind] = {
        "contains_gold": "proportion",
        "f1": "mean",
        "exact_match": "proportion",
        "gold_passage_read": "proportion",
        "truncated": "proportion",
    }
    contrasts: Sequence[tuple[str, str]] = [("rag", "closed_book"), ("rag_without_owner", "rag")]
    compared: Sequence[str] = ["contains_gold", "f1", "exact_match"]

    def plan(self, options: RagQaOptions, limit: int, seed: int, home: Path) -> Plan:
        """Question by question, each under all its settings: an unfinished run has whole pairs to compare."""
        public = {owner.id for owner in load_owners() if owner.public}
        items: list[Planned] = []
        warnings: list[str] = []
        used: list[GoldQuestion] = []
        for name in dict.fromkeys(options.sets):
            chosen = choose(home, _known(name, home), options.questions, limit, seed)
            used += chosen
            warnings += _short_of(chosen, name, limit, options)
            skipped = {question.owner for question in chosen} & public
            if skipped and "rag_without_owner" in options.settings:
                warnings.append(_always_on(name, skipped))
            items += [
                plan_item(question, setting, options, seed)
                for question in chosen
                for setting in dict.fromkeys(options.settings)
                if setting != "rag_without_owner" or question.owner not in public
            ]
        if not items:
            raise BadOption("sets", f"Nothing to ask: {' '.join(warnings)}")
        return Plan(items, {"questions": f"sha256:{digest(used)}", "model": options.model}, warnings)

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:
        """The model and experts that are served. Raises EndpointError."""
        return await served(endpoint, versions.get("model"))

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """One chat completion; the reply is refused if it was made under another setting than the one asked for."""
        return read_answer(await endpoint.post("/v1/chat/completions", planned.ask["body"], item=planned.id), planned)

    def outside(self, plan: Plan, there: outside.Outside) -> Plan:
        """Closed book, with one sample."""
        return outside.each(plan, there, lambda item: outside.chat(item.ask, there.model))

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """Scores of the text without its citation marks; f1 and exact_match of the short answer in it, if known."""
        text = _CITATION.sub("", answer.output)
        short = answer.details["answer"] or text
        scores = {
            "contains_gold": contains_gold(text, planned.gold),
            "f1": token_f1(short, planned.gold),
            "exact_match": exact_match(short, planned.gold),
            "truncated": float(answer.details["finish_reason"] == "length"),
        }
        if planned.setting != "closed_book" and planned.ask["document"]:
            read = [passage["document"] for passage in answer.details["passages"]]
            scores["gold_passage_read"] = float(planned.ask["document"] in read)
        return scores


_CITATION = re.compile(r"\s*\[\d+\]")


def _known(name: str, home: Path) -> str:
    """The name again, if it is a set; any other text would be a path into the machine."""
    known = sorted(path.stem for path in (home / "questions").glob("*.jsonl"))
    if known and name not in known:
        raise BadOption("sets", f"There is no set {name!r}. Known: {', '.join(known)}.")
    return name


def _short_of(chosen: Sequence[GoldQuestion], name: str, limit: int, options: RagQaOptions) -> list[str]:
    if len(chosen) >= limit:
        return []
    return [f"{name}: {len(chosen)} of the {limit} questions asked for; it has no more that are {options.questions}."]


def _always_on(name: str, owners: set[str]) -> str:
    return f"{name}: not asked under rag_without_owner, since {', '.join(sorted(owners))} is public and always on."
