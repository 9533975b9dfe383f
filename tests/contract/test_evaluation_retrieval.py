"""`retrieval` through the real service: excluded documents, rewriting and reranking."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.suites.retrieval import PreparedSet
from shared.contracts.evaluation import Report
from tests.contract.endpoint_support import Body, endpoint
from tests.contract.evaluation_support import Service, serving

NAME = "beir-small-00000000"
failing: set[str] = set()


def reply(path: str, body: Body) -> tuple[int, Body]:
    if path == "/v1/datastores":
        encoder = {"name": "minilm", "revision": "1"}
        return 200, {"data": [{"id": NAME, "encoders": {"ann": encoder, "exact": encoder}}]}
    if path != "/v1/search":
        return 404, {}
    # what is wanted comes third; rewriting moves it to the second place, reranking to the first
    ranking = ["copy", "other", "gold", "last"]
    if body.get("rewrite"):
        ranking = ["copy", "gold", "other", "last"]
    if body.get("rerank") == "llm":
        ranking = ["gold", "copy", "other", "last"]
    passages = [{"document": document} for document in ranking for _ in range(2)][: body["k"]]
    failed = [{"stage": "rewrite", "error": "no model"}] if failing and body.get("rewrite") else []
    rewrites = ["whale songs"] if body.get("rewrite") else None
    return 200, {
        "results": [passages],
        "timings": {"total": 1.0},
        "warnings": [],
        "index": body["index"],
        "rewrites": rewrites,
        "failed": failed,
    }


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home: Path = tmp_path_factory.mktemp("home")
    prepared = PreparedSet(
        name=NAME,
        corpus="c",
        judged="j",
        documents=4,
        queries={"1": "who sings", "2": "who walks"},
        judgements={"1": {"gold": 1}, "2": {"gold": 1}},
        excluded={"1": ["copy"]},
        warnings=[],
    )
    (home / "beir" / NAME).mkdir(parents=True)
    (home / "beir" / NAME / "set.json").write_text(prepared.model_dump_json())
    with endpoint(reply) as url, serving(home, url, failure_rate="1") as running:
        yield running


def run(service: Service, **options: Any) -> dict[str, Any]:
    return service.wait(service.create(suite="retrieval", limit=2, options={"set": NAME, **options})["id"])


def test_documents_that_a_query_excludes_are_not_in_its_ranking(service: Service) -> None:
    ended = run(service, indexes=["bm25"])
    ranks = {item["question_id"]: item["details"]["documents"] for item in service.items(ended["id"])}
    assert ranks == {"1": ["other", "gold", "last"], "2": ["copy", "other", "gold", "last"]}
    scores = {item["question_id"]: item["scores"] for item in service.items(ended["id"])}
    assert (scores["1"]["mrr@10"], scores["2"]["mrr@10"]) == (1 / 2, pytest.approx(1 / 3))


def test_rewriting_and_reranking_are_settings_and_are_compared_with_the_index_alone(service: Service) -> None:
    ended = run(service, indexes=["bm25"], rewrite=[False, True], rerank=["none", "llm"])
    assert ended["progress"] == {"done": 8, "total": 8, "failed": 0}
    report = Report.model_validate(service.http.get(f"/v1/evaluations/{ended['id']}/report").json())
    ranks = {cell.setting: cell.scores["mrr@10"].mean for cell in report.cells}
    assert ranks == pytest.approx({"bm25": 5 / 12, "bm25+llm": 1, "bm25+rewrite": 3 / 4, "bm25+rewrite+llm": 1})
    pairs = {(one.setting, one.against) for one in report.comparisons}
    assert pairs == {("bm25+llm", "bm25"), ("bm25+rewrite", "bm25"), ("bm25+rewrite+llm", "bm25")}
    [rewritten] = [item for item in service.items(ended["id"]) if item["id"] == "1@bm25+rewrite"]
    assert rewritten["details"]["rewrite"] == "whale songs"


def test_a_search_that_had_no_help_though_it_was_asked_for_has_no_score(service: Service) -> None:
    failing.add("rewrite")
    try:
        ended = run(service, indexes=["bm25"], rewrite=[False, True])
    finally:
        failing.clear()
    failed = service.items(ended["id"], status="failed")
    assert {item["setting"] for item in failed} == {"bm25+rewrite"}
    assert "the language model did not help" in failed[0]["error"]
