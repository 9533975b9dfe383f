"""What can be done with a run that has been made: its page, another scoring, a comparison with another run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.settings import GatewaySettings
from shared.clients.base import ServiceError
from shared.clients.evaluation import EvaluationClient
from shared.contracts.evaluation import Run, RunsCompared
from tests.contract.evaluation_fixtures import endpoint, orderly
from tests.contract.evaluation_support import Oracle, Service, serving, write_questions
from tests.contract.gateway_support import closed_port, gateway
from tests.unit.evaluation.test_page import Page

__all__ = ["endpoint", "orderly"]

TALES = {"sets": ["tales"], "settings": ["closed_book", "rag"]}


@pytest.fixture(scope="module")
def service(endpoint: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    write_questions(home)
    with serving(home, endpoint.url, failure_rate="0.5") as running:
        yield running


@pytest.fixture(scope="module")
def finished(service: Service, endpoint: Oracle) -> Run:
    """30 questions under two settings, two of which the endpoint failed."""
    endpoint.broken = {"house 3 "}
    return Run.model_validate(service.wait(service.create(limit=30, options=TALES)["id"]))


@pytest.fixture(scope="module")
def through_gateway(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    down, folder = closed_port(), tmp_path_factory.mktemp("gateway")
    settings = GatewaySettings(
        model_url=down,
        retrieval_url=down,
        tracing_url=down,
        evaluation_url=service.url,
        database_url=f"sqlite:///{folder / 'gateway.db'}",
    )
    with gateway(settings) as address, httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        yield client


def test_the_page_of_a_run_is_the_same_at_the_service_and_through_the_gateway(
    service: Service, through_gateway: httpx.Client, finished: Run
) -> None:
    path = f"/v1/evaluations/{finished.id}/report"
    pages = [client.get(path, params={"format": "html"}) for client in (service.http, through_gateway)]
    assert [page.headers["content-type"] for page in pages] == ["text/html; charset=utf-8"] * 2
    assert pages[0].text == pages[1].text
    page = Page(pages[0].text)
    entries = [entry for block in page.packed("block") for entry in block]
    assert [entry["id"] for entry in entries] == [item["id"] for item in service.items(finished.id)]
    assert "2 failed" in " ".join(page.text.split())


def test_markdown_and_errors_come_through_the_gateway_too(through_gateway: httpx.Client, finished: Run) -> None:
    path = f"/v1/evaluations/{finished.id}/report"
    report = through_gateway.get(path, params={"format": "markdown"})
    assert report.headers["content-type"].startswith("text/markdown")
    assert "| tales | rag | 29 | 1 (3.3%) | 0.0% | 1.000 [" in report.text
    for wanted in ("json", "html", "markdown"):
        missing = through_gateway.get("/v1/evaluations/eval-none/report", params={"format": wanted})
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        refused = through_gateway.get("/v1/evaluations/compare", params={"runs": [finished.id], "format": wanted})
        assert (refused.status_code, refused.json()["field"]) == (422, "runs")
    assert through_gateway.get(path, params={"format": "pdf"}).status_code == 422


def test_a_run_is_scored_again_without_a_question_asked(service: Service, endpoint: Oracle, finished: Run) -> None:
    asked = sum(endpoint.asked.values())
    again = service.rescore(finished.id)
    assert sum(endpoint.asked.values()) == asked
    assert (again["status"], again["rescored_from"], again["suite"]) == ("succeeded", finished.id, "rag-qa")
    assert again["progress"] == {"done": 60, "total": 60, "failed": 2}
    old, new = service.items(finished.id), service.items(again["id"])
    assert old == new
    reports = [service.report(run) for run in (finished.id, again["id"])]
    assert reports[0].cells == reports[1].cells
    assert {**finished.versions, **again["versions"]} == again["versions"]
    told = service.http.get(f"/v1/evaluations/{again['id']}/events").text
    assert told.count("event: item") == 60


def test_another_metric_is_scored_and_compared_beside_the_suites(service: Service, finished: Run) -> None:
    again = service.rescore(finished.id, metrics=["output_exact_match", "output_characters"])
    assert again["metrics"] == ["output_exact_match", "output_characters"]
    report = service.report(again["id"])
    assert report.metrics[-2:] == again["metrics"]
    rag = {cell.setting: cell for cell in report.cells}["rag"]
    outputs = [item["output"] for item in service.items(again["id"], setting="rag") if item["output"] is not None]
    assert rag.scores["output_characters"].mean == pytest.approx(sum(map(len, outputs)) / len(outputs))
    compared = {one.metric for one in report.comparisons}
    assert {"contains_gold", "output_exact_match", "output_characters"} <= compared
    assert "output_characters" in service.http.get(f"/v1/evaluations/{again['id']}/report?format=markdown").text


def test_a_suite_that_cannot_read_the_answers_fails_each_of_them_and_not_the_service(
    service: Service, finished: Run
) -> None:
    failed = service.rescore(finished.id, suite="retrieval", metrics=["output_f1"])
    assert failed["progress"] == {"done": 60, "total": 60, "failed": 60}
    assert any("KeyError" in item["error"] for item in service.items(failed["id"]))


@pytest.mark.parametrize(
    ("body", "expected", "says"),
    [
        ({"suite": "rag-qb"}, (404, "unknown_suite", "suite"), "Known: rag-qa"),
        ({"metrics": ["bleu"]}, (422, "bad_metric", "metrics"), "Known: output_contains_gold, output_f1"),
        ({"metric": "f1"}, (422, "invalid_request", "metric"), "no field"),
    ],
)
def test_a_bad_request_to_score_again_is_told_which_field_is_wrong(
    service: Service, finished: Run, body: dict[str, Any], expected: tuple[int, str, str], says: str
) -> None:
    response = service.http.post(f"/v1/evaluations/{finished.id}/rescore", json=body)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["field"]) == expected
    assert says in problem["detail"]
    assert service.http.post("/v1/evaluations/eval-none/rescore", json={}).status_code == 404


def test_a_run_that_still_asks_is_not_scored_again_and_a_cancelled_one_as_far_as_it_came(
    service: Service, endpoint: Oracle
) -> None:
    endpoint.delay = 0.2
    run = service.create(limit=30, options=TALES)["id"]
    service.wait(run, done=4)
    refused = service.http.post(f"/v1/evaluations/{run}/rescore", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_finished")
    cancelled = service.http.post(f"/v1/evaluations/{run}/cancel").json()
    again = service.rescore(run)
    done = cancelled["progress"]["done"]
    assert again["progress"] == {"done": done, "total": done, "failed": 0}
    assert again["warnings"] == [f"{60 - done} items were never asked, and are left out."]


def test_a_key_makes_one_rescoring_and_cannot_be_used_for_another(service: Service, finished: Run) -> None:
    def post(body: dict[str, Any]) -> httpx.Response:
        path = f"/v1/evaluations/{finished.id}/rescore"
        return service.http.post(path, json=body, headers={"Idempotency-Key": "again"})

    first, second = post({}), post({})
    assert first.json()["id"] == second.json()["id"]
    assert (post({"metrics": ["output_f1"]}).status_code, post({"metrics": ["output_f1"]}).json()["code"]) == (
        422,
        "idempotency_key_reused",
    )
    other = {"suite": "rag-qa", "limit": 1}
    assert service.http.post("/v1/evaluations", json=other, headers={"Idempotency-Key": "again"}).status_code == 422


def test_runs_are_compared_over_what_both_asked(
    service: Service, through_gateway: httpx.Client, endpoint: Oracle, finished: Run
) -> None:
    endpoint.broken = {f"house {house} " for house in range(10)}
    fewer = service.wait(service.create(limit=20, seed=0, options={**TALES, "settings": ["rag"], "k": 2})["id"])
    runs = {"runs": [finished.id, fewer["id"]]}
    compared = RunsCompared.model_validate(through_gateway.get("/v1/evaluations/compare", params=runs).json())
    assert [run.id for run in compared.runs] == runs["runs"]
    assert compared.differing["limit"] == [30, 20]
    assert compared.differing["options.k"] == [None, 2]
    assert compared.differing["versions.questions"][0] != compared.differing["versions.questions"][1]
    [pairing] = compared.pairings
    assert (pairing.setting, pairing.against_setting) == ("rag", "rag")
    assert pairing.paired == fewer["progress"]["done"] - fewer["progress"]["failed"]
    assert all(one.difference.mean == 0 and one.p == one.p_holm == 1 for one in compared.differences)

    html = through_gateway.get("/v1/evaluations/compare", params={**runs, "format": "html"})
    page = Page(html.text)
    entries = [entry for block in page.packed("block") for entry in block]
    assert len(entries) == 60
    both = [entry for entry in entries if entry["answers"][1] is not None]
    assert {entry["setting"] for entry in both} == {"rag"}
    assert len(both) == 20
    told = through_gateway.get("/v1/evaluations/compare", params={**runs, "format": "markdown"}).text
    assert "| tales | contains_gold | rag: B - A |" in told


def test_what_cannot_be_compared_says_why(service: Service, finished: Run) -> None:
    facts = service.wait(service.create(limit=2, options={"sets": ["facts"], "settings": ["rag"]})["id"])["id"]
    for runs, status, code in (
        ([finished.id], 422, "not_comparable"),
        ([finished.id, finished.id], 422, "not_comparable"),
        ([finished.id, facts], 422, "not_comparable"),
        ([finished.id, "eval-none"], 404, "unknown_run"),
    ):
        response = service.http.get("/v1/evaluations/compare", params={"runs": runs})
        assert (response.status_code, response.json()["code"]) == (status, code)


def test_of_the_runs_that_wait_the_one_of_higher_priority_begins_first(service: Service, endpoint: Oracle) -> None:
    endpoint.delay = 0.2
    options = {"sets": ["tales"], "settings": ["rag"]}
    first = service.create(limit=12, options=options)["id"]
    service.wait(first, done=1)
    waiting = {
        name: service.create(limit=1, options=options, priority=name)["id"] for name in ("low", "normal", "high")
    }
    time.sleep(0.5)
    endpoint.delay = 0.0
    for run in waiting.values():
        service.wait(run)
    begun = {name: _asked_at(endpoint, run) for name, run in waiting.items()}
    assert sorted(begun, key=lambda name: begun[name]) == ["high", "normal", "low"]
    assert service.get(waiting["high"])["priority"] == "high"


def test_the_client_scores_again_compares_and_reads_pages(service: Service, finished: Run) -> None:
    async def use() -> tuple[RunsCompared, bytes]:
        client = EvaluationClient(service.url)
        try:
            runs = [run.id for run in (await client.runs(limit=50)).data if run.rescored_from == finished.id]
            compared = await client.compare([finished.id, runs[-1]])
            async with client.pieces(client.report_as(finished.id, "html")) as response:
                page = b"".join([piece async for piece in response.aiter_bytes()])
            with pytest.raises(ServiceError, match="no evaluation"):
                async with client.pieces(client.report_as("eval-none", "html")):
                    pass
            return compared, page
        finally:
            await client.close()

    compared, page = asyncio.run(use())
    assert all(one.difference.mean == 0 for one in compared.differences)
    assert page.startswith(b"<!doctype html>")


def _asked_at(endpoint: Oracle, run: str) -> int:
    """The place of a run's first request among all that the endpoint got."""
    return next(place for place, name in enumerate(endpoint.asked) if name.startswith(run))


def test_the_page_at_the_root_leads_to_the_reports(through_gateway: httpx.Client) -> None:
    home = through_gateway.get("/")
    assert home.headers["content-type"] == "text/html; charset=utf-8"
    assert Page(home.text).outside == ["/docs", "/readyz", "/v1/owners", "/v1/suites"]
    assert all(through_gateway.get(path).status_code in (200, 503) for path in ("/docs", "/readyz", "/v1/owners"))


def test_the_page_at_the_root_follows_runs_and_cancels_them_by_what_the_gateway_has(
    service: Service, through_gateway: httpx.Client, endpoint: Oracle
) -> None:
    home = through_gateway.get("/").text
    assert 'path(run.id) + "/cancel", "POST"' in home
    assert '"/v1/evaluations?limit=" + PAGE' in home
    endpoint.delay = 0.2
    run = service.create(limit=30, options=TALES)["id"]
    service.wait(run, done=1)
    [now] = [one for one in through_gateway.get("/v1/evaluations?limit=50").json()["data"] if one["id"] == run]
    assert now["status"] == "running"
    assert now["progress"]["total"] == 60
    cancelled = through_gateway.post(f"/v1/evaluations/{run}/cancel")
    endpoint.delay = 0.0
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")


def test_a_run_that_has_ended_since_the_page_was_drawn_is_refused_in_words(
    through_gateway: httpx.Client, finished: Run
) -> None:
    refused = through_gateway.post(f"/v1/evaluations/{finished.id}/cancel")
    assert refused.status_code == 409
    assert refused.json()["detail"] == f"The evaluation {finished.id!r} has {finished.status} already."
