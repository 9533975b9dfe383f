"""`rag-qa`: short-answer questions of the pulled sets, closed book, with retrieval, and with an owner left out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from services.evaluation.endpoint import Endpoint
from services.evaluation.errors import BadOption
from services.evaluation.metrics.answers import contains_gold, exact_match, token_f1
from services.evaluation.suites.base import Answer, Kind, Plan, Planned
from services.evaluation.suites.questions import GoldQuestion, Selection, choose, digest, item_seed
from services.evaluation.suites.rag_answer import read_answer
from shared.contracts.base import Strict
from shared.contracts.candor import CandorOptions, OwnerChoice, RetrievalOptions, SamplingOptions
from shared.contracts.retrieval import Index
from shared.owners import load_owners

Setting = Literal["closed_book", "rag", "rag_without_owner"]

DEFAULT_SETS = ["squad", "coqa-cnn", "coqa-gutenberg", "medmcqa", "sciq"]
"""A set of each owner that has extractive questions: encyclopedia, news, literature, medicine, textbooks."""


class RagQaOptions(Strict):
    """What is asked, under which settings, and how the endpoint is to answer."""

    sets: Annotated[list[str], Field(min_length=1)] = DEFAULT_SETS
    settings: Annotated[list[Setting], Field(min_length=1)] = ["closed_book", "rag", "rag_without_owner"]
    questions: Selection = "extractive"
    model: str = "candor"
    datastore: str = "main"
    index: Index = "hybrid"
    k: Annotated[int, Field(ge=1, le=20)] = 3
    samples: Annotated[int, Field(ge=1, le=64)] = 1
    budget: Annotated[int, Field(ge=1, le=4096)] = 32
    aggregate: Literal["confidence", "majority", "first"] = "confidence"
    temperature: Annotated[
        float | None, Field(ge=0, le=2, description="Default: 0 with one sample, else the endpoint's own.")
    ] = None
    trace: Annotated[bool, Field(description="Trace each answer too: slower, and no score needs it.")] = False


class RagQa:
    """The suite. Every item is one chat completion, planned in full before the run begins."""

    id = "rag-qa"
    version = "1"
    title = "Question answering with and without retrieval, and without the owner of the answer"
    description = (
        "Gold questions of the pulled sets, asked closed book (no retrieval), with retrieval (rag), and with retrieval "
        "while the owner of the passage is left out (rag_without_owner; not for public owners, which are always on). "
        "Exact match, token F1 and contains-gold after SQuAD's normalisation; gold_passage_read is the share of "
        "answers for which the gold document was among the passages read; truncated is the share cut off by the budget."
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
                _planned(question, setting, options, seed)
                for question in chosen
                for setting in dict.fromkeys(options.settings)
                if setting != "rag_without_owner" or question.owner not in public
            ]
        if not items:
            raise BadOption("sets", f"Nothing to ask: {' '.join(warnings)}")
        return Plan(items, {"questions": f"sha256:{digest(used)}", "model": options.model}, warnings)

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """One chat completion; the reply is refused if it was made under another setting than the one asked for."""
        return read_answer(await endpoint.post("/v1/chat/completions", planned.ask["body"], item=planned.id), planned)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """Scores of the text without its citation marks."""
        text = _CITATION.sub("", answer.output)
        scores = {
            "contains_gold": contains_gold(text, planned.gold),
            "f1": token_f1(text, planned.gold),
            "exact_match": exact_match(text, planned.gold),
            "truncated": float(answer.details["finish_reason"] == "length"),
        }
        if planned.setting != "closed_book" and planned.ask["document"]:
            read = [passage["document"] for passage in answer.details["passages"]]
            scores["gold_passage_read"] = float(planned.ask["document"] in read)
        return scores


_CITATION = re.compile(r"\s*\[\d+\]")


def _planned(question: GoldQuestion, setting: Setting, options: RagQaOptions, seed: int) -> Planned:
    """The item with the whole request: what is asked is settled here, whatever becomes of the files afterwards."""
    sampling_seed = item_seed(seed, question.id)
    body: dict[str, Any] = {
        "model": options.model,
        "messages": [{"role": "user", "content": question.question}],
        "seed": sampling_seed,
        "candor": _extension(question, setting, options).model_dump(mode="json", exclude_unset=True),
    }
    temperature = 0.0 if options.temperature is None and options.samples == 1 else options.temperature
    if temperature is not None:
        body["temperature"] = temperature
    return Planned(
        id=f"{question.id}@{setting}",
        question_id=question.id,
        set=question.set,
        setting=setting,
        question=question.question,
        gold=question.answers,
        seed=sampling_seed,
        ask={"body": body, "document": question.document, "owner": question.owner},
    )


def _extension(question: GoldQuestion, setting: Setting, options: RagQaOptions) -> CandorOptions:
    """The `candor` object. Strict: an answer without its passages would be scored as if it had read them."""
    retrieval = RetrievalOptions(datastore=options.datastore, index=options.index, k=options.k)
    sampling = SamplingOptions(samples=options.samples, budget=options.budget, aggregate=options.aggregate)
    extension = CandorOptions(retrieval=retrieval, sampling=sampling, strict=True)
    if setting == "closed_book":
        extension.retrieval = False
    if setting == "rag_without_owner":
        extension.owners = OwnerChoice(exclude=[question.owner])
    if not options.trace:
        extension.trace = False
    return extension


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
