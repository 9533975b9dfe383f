"""`retrieval`: the test queries of a folder in BEIR's or BRIGHT's format, searched by each index, perhaps assisted."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from services.evaluation.endpoint import Endpoint, EndpointError, Reply
from services.evaluation.errors import BadOption
from services.evaluation.metrics.ranking import ndcg, recall, reciprocal_rank
from services.evaluation.suites.base import Answer, BadAnswer, Kind, Plan, Planned
from shared.contracts.base import Strict
from shared.contracts.retrieval import Index, Rerank, SearchRequest

FOLDER = "beir"
"""Of the data folder: a folder for each set, with `set.json`, its texts and its datastore."""

PASSAGES_A_DOCUMENT = 2
"""Passages asked for are so many times the documents wanted: a document of several can come up more than once."""

MOST_PASSAGES = 1000
"""Of a search."""


class RetrievalSuiteOptions(Strict):
    """Which set, by which indexes, with which help of the language model, and how many documents are kept."""

    set: Annotated[str, Field(description="A set that `candor eval run retrieval --beir DIR` has prepared.")]
    indexes: Annotated[list[Index], Field(min_length=1)] = ["bm25", "compactds", "leann", "hybrid"]
    k: Annotated[int, Field(ge=10, le=MOST_PASSAGES)] = 100
    rewrite: Annotated[list[bool], Field(min_length=1)] = [False]
    rerank: Annotated[list[Rerank], Field(min_length=1)] = ["none"]


class PreparedSet(BaseModel):
    """`set.json`: what a run needs of a set beside its datastore, which has the same name."""

    name: str
    corpus: str
    judged: str
    documents: int
    queries: dict[str, str]
    judgements: dict[str, dict[str, int]]
    excluded: dict[str, list[str]] = {}
    warnings: list[str]


class RetrievalSuite:
    """The suite. An item is one query to one index, through /v1/search."""

    id = "retrieval"
    version = "2"
    title = "Retrieval on a public benchmark in BEIR's or BRIGHT's format"
    description = (
        "The test queries of a folder, searched by each index in a datastore of its corpus alone, perhaps with the "
        "query rewritten or the passages reranked by the language model. Documents that a query excludes are left out "
        "of its ranking. A document's score is its best passage's. ndcg@10, recall and mrr@10 as in trec_eval; "
        "truncated is the share of queries that the encoder could not read whole; milliseconds is the search "
        "service's own time for a query."
    )
    options: type[BaseModel] = RetrievalSuiteOptions
    metrics: Mapping[str, Kind] = {
        "ndcg@10": "mean",
        "recall@100": "mean",
        "recall@10": "mean",
        "mrr@10": "mean",
        "truncated": "proportion",
        "milliseconds": "mean",
    }
    contrasts: Sequence[tuple[str, str]] = [
        ("hybrid", "bm25"),
        ("hybrid", "compactds"),
        ("compactds", "bm25"),
        ("leann", "compactds"),
    ]
    compared: Sequence[str] = ["ndcg@10", "recall@100"]

    def plan(self, options: RetrievalSuiteOptions, limit: int, seed: int, home: Path) -> Plan:
        """Query by query, each by all indexes; a limit below all queries draws them by the seed."""
        found = _prepared(options.set, home)
        chosen = list(found.queries)
        if limit < len(chosen):
            drawn = {*random.Random(seed).sample(chosen, limit)}
            chosen = [query for query in chosen if query in drawn]
        grid = list(dict.fromkeys(product(options.indexes, options.rewrite, options.rerank)))
        items = [_item(query, Search(*point), found, options, seed) for query in chosen for point in grid]
        versions = {"datastore": found.name, "corpus": f"sha256:{found.corpus}", "questions": f"sha256:{found.judged}"}
        return Plan(items, versions, found.warnings)

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:
        """The encoders of the set's datastore. Raises EndpointError if the endpoint has no such datastore."""
        body = (await endpoint.get("/v1/datastores")).body
        try:
            encoders = {str(one["id"]): _encoders(one["encoders"]) for one in body["data"]}
        except (KeyError, TypeError, AttributeError) as error:
            raise EndpointError(f"{endpoint.url} does not list datastores as Candor does: {str(body)[:200]}") from error
        if (name := versions["datastore"]) not in encoders:
            raise EndpointError(f"{endpoint.url} has no datastore {name!r}. It has: {', '.join(encoders)}.")
        return {"endpoint": endpoint.url, "encoder": encoders[name]}

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """One search. Raises EndpointError or BadAnswer."""
        return _ranking(await endpoint.post("/v1/search", planned.ask["body"], item=planned.id), planned)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """The measures of the ranking; recall@100 only of a ranking that may be so long."""
        ranking, grades = answer.details["documents"], planned.ask["grades"]
        scores = {
            "ndcg@10": ndcg(ranking, grades, 10),
            "recall@10": recall(ranking, grades, 10),
            "mrr@10": reciprocal_rank(ranking, grades, 10),
            "truncated": float(answer.details["truncated"]),
            "milliseconds": answer.details["milliseconds"],
        }
        return scores | ({"recall@100": recall(ranking, grades, 100)} if planned.ask["k"] >= 100 else {})

    def contrasts_among(self, settings: Sequence[str]) -> Sequence[tuple[str, str]]:
        """The indexes with each other, and each with help of the language model against without."""
        helped = [(setting, setting.split("+")[0]) for setting in settings if "+" in setting]
        return [pair for pair in [*self.contrasts, *helped] if {*pair} <= {*settings}]


@dataclass(frozen=True)
class Search:
    """One way to search."""

    index: Index
    rewrite: bool
    rerank: Rerank

    @property
    def name(self) -> str:
        """Such as `bm25`, and with help `bm25+rewrite+llm`."""
        return "+".join([self.index, *["rewrite"] * self.rewrite, *[self.rerank] * (self.rerank != "none")])


def _encoders(listed: Mapping[str, Mapping[str, Any]]) -> str:
    first, exact = (f"{listed[stage]['name']} {listed[stage]['revision']}" for stage in ("ann", "exact"))
    return first if first == exact else f"{first}, exact scores by {exact}"


def _prepared(name: str, home: Path) -> PreparedSet:
    """The set of this name, if it is one; any other text would be a path into the machine."""
    known = sorted(path.parent.name for path in (home / FOLDER).glob("*/set.json"))
    if name not in known:
        there = f"Known: {', '.join(known)}." if known else "There is none yet."
        raise BadOption("set", f"There is no set {name!r}. {there} `candor eval run retrieval --beir DIR` makes one.")
    return PreparedSet.model_validate_json((home / FOLDER / name / "set.json").read_text(encoding="utf-8"))


def _item(query: str, search: Search, found: PreparedSet, options: RetrievalSuiteOptions, seed: int) -> Planned:
    excluded = found.excluded.get(query, [])
    passages = min(PASSAGES_A_DOCUMENT * (options.k + len(excluded)), MOST_PASSAGES)
    # no owners: the service searches the public ones alone, and the set's is the only one of its datastore
    body = {
        "query": found.queries[query],
        "datastore": found.name,
        "index": search.index,
        "k": passages,
        "candidates": passages,
        **({"rewrite": True} if search.rewrite else {}),
        **({"rerank": search.rerank} if search.rerank != "none" else {}),
    }
    grades = found.judgements[query]
    return Planned(
        id=f"{query}@{search.name}",
        question_id=query,
        set=found.name,
        setting=search.name,
        question=found.queries[query],
        gold=sorted(document for document, grade in grades.items() if grade > 0),
        seed=seed,
        ask={
            "body": SearchRequest.model_validate(body).model_dump(mode="json", exclude_unset=True),
            "grades": grades,
            "k": options.k,
            "excluded": excluded,
        },
    )


def _ranking(reply: Reply, planned: Planned) -> Answer:
    """The documents of a search's passages, each at the place of its best one, with what the search said of itself."""
    try:
        passages: list[dict[str, Any]] = reply.body["results"][0]
        found = dict.fromkeys(str(passage["document"]) for passage in passages)
        documents = [one for one in found if one not in planned.ask["excluded"]][: planned.ask["k"]]
        details = {
            "documents": documents,
            "milliseconds": float(reply.body["timings"]["total"]),
            "timings": reply.body["timings"],
            "truncated": any("tokens; the encoder read" in warning for warning in reply.body["warnings"]),
            "recomputed": (reply.body.get("recomputed") or [None])[0],
            "rewrite": (reply.body.get("rewrites") or [None])[0],
        }
        applied, failed = reply.body["index"], reply.body.get("failed")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadAnswer(f"this is no answer of a search: {str(reply.body)[:200]}") from error
    if applied != planned.ask["body"]["index"]:
        raise BadAnswer(f"asked of {planned.setting}, and {applied} answered")
    if failed:
        raise BadAnswer(f"the language model did not help: {failed}")
    return Answer(planned.question, json.dumps(documents[:10]), None, reply.latency_ms, details)
