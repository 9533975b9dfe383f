"""The evaluation service over HTTP: a real process, asking a small OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.clients.evaluation import EvaluationClient
from shared.contracts.evaluation import ItemFinished, Report, Run
from tests.contract.evaluation_fixtures import endpoint, orderly
from tests.contract.evaluation_support import Oracle, Service, serving, write_questions

__all__ = ["endpoint", "orderly"]

SETTINGS = ["closed_book", "rag", "rag_without_owner"]


@pytest.fixture(scope="module")
def service(endpoint: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    write_questions(home)
    with serving(home, endpoint.url, runs="2") as running:
        yield running


@pytest.fixture(scope="module")
def finished(service: Service) -> Run:
    """A run that has succeeded: 8 questions of each set."""
    created = service.create(limit=8, options={"sets": ["tales", "facts"]})
    return Run.model_validate(service.wait(created["id"]))


def test_creating_a_run_answers_202_with_its_place(service: Service) -> None:
    response = service.http.post(
        "/v1/evaluations", json={"suite": "rag-qa", "limit": 1, "options": {"sets": ["facts"]}}
    )
    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/evaluations/{response.json()['id']}"
    assert service.http.get(response.headers["location"]).json()["id"] == response.json()["id"]


def test_a_run_asks_each_question_under_each_setting_and_says_with_what(finished: Run) -> None:
    assert finished.status == "succeeded"
    # tales under three settings, facts under two: a public owner is never left out
    assert finished.progress.model_dump() == {"done": 40, "total": 40, "failed": 0}
    assert set(finished.versions) == {"candor", "suite", "model", "questions", "requests", "endpoint"}
    assert finished.versions["suite"] == "rag-qa/1"
    assert [warning for warning in finished.warnings if "encyclopedia is public" in warning]


def test_an_item_keeps_what_was_asked_and_answered_and_its_scores(service: Service, finished: Run) -> None:
    [item] = [one for one in service.items(finished.id) if one["setting"] == "rag"][:1]
    assert item["prompt"] == f"user: {item['question']}"
    assert item["output"] == f"It is {item['gold'][0]} [1]."
    assert item["scores"] == pytest.approx(
        {"contains_gold": 1, "f1": 0.75, "exact_match": 0, "truncated": 0, "gold_passage_read": 1}
    )
    assert item["details"]["owners"] == ["encyclopedia", "literature"]
    assert item["tokens"] == 6
    assert item["latency_ms"] > 0
    assert item["error"] is None


def test_the_settings_differ_in_what_is_asked_and_in_nothing_else(endpoint: Oracle, service: Service) -> None:
    endpoint.bodies.clear()
    run = service.create(limit=1, seed=3, options={"sets": ["tales"], "k": 5})
    service.wait(run["id"])
    extensions = [body.pop("candor") for body in endpoint.bodies]
    assert len({json.dumps(body) for body in endpoint.bodies}) == 1
    assert sorted(str(one["retrieval"]) for one in extensions) == sorted(
        ["False", *[str({"datastore": "main", "index": "hybrid", "k": 5})] * 2]
    )
    assert [one["owners"] for one in extensions if "owners" in one] == [{"exclude": ["literature"]}]
    assert all(one["strict"] is True and one["trace"] is False for one in extensions)


def test_the_report_shows_what_retrieval_gives_and_what_leaving_the_owner_out_takes(
    service: Service, finished: Run
) -> None:
    report = Report.model_validate(service.http.get(f"/v1/evaluations/{finished.id}/report").json())
    assert report.run == finished
    found = {(cell.set, cell.setting): cell.scores["contains_gold"].mean for cell in report.cells}
    assert found == {
        ("tales", "closed_book"): 0,
        ("tales", "rag"): 1,
        ("tales", "rag_without_owner"): 0,
        ("facts", "closed_book"): 0,
        ("facts", "rag"): 1,
    }
    [drop] = [one for one in report.comparisons if one.setting == "rag_without_owner" and one.metric == "contains_gold"]
    assert (drop.set, drop.against, drop.items, drop.difference.mean, drop.test) == ("tales", "rag", 8, -1, "mcnemar")
    assert drop.p == pytest.approx(2 / 2**8)


def test_the_report_is_to_be_had_as_markdown(service: Service, finished: Run) -> None:
    response = service.http.get(f"/v1/evaluations/{finished.id}/report", params={"format": "markdown"})
    assert response.headers["content-type"].startswith("text/markdown")
    assert "| tales | rag | 8 | 0 | 0.0% | 1.000 [0.676, 1.000] |" in response.text
    assert "encyclopedia is public and always on" in response.text


def test_the_same_seed_draws_the_same_questions_and_a_smaller_limit_the_first_of_them(service: Service) -> None:
    def drawn(limit: int, seed: int) -> list[str]:
        run = service.create(limit=limit, seed=seed, options={"sets": ["facts"], "settings": ["closed_book"]})
        return [item["question_id"] for item in service.items(run["id"])]

    assert drawn(5, seed=1) == drawn(9, seed=1)[:5]
    assert drawn(9, seed=1) != drawn(9, seed=2)


def test_an_idempotency_key_makes_one_run_however_often_it_is_sent(service: Service) -> None:
    headers = {"Idempotency-Key": "one-run"}
    body = {"suite": "rag-qa", "limit": 1, "options": {"sets": ["facts"]}}
    first, second = (service.http.post("/v1/evaluations", json=body, headers=headers) for _ in range(2))
    assert first.status_code == second.status_code == 202
    assert first.json()["id"] == second.json()["id"]
    other = service.http.post("/v1/evaluations", json={**body, "limit": 2}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_an_idempotency_key_that_is_raced_makes_one_run(service: Service) -> None:
    body = {"suite": "rag-qa", "limit": 1, "options": {"sets": ["facts"]}}

    def post(_: int) -> httpx.Response:
        return service.http.post("/v1/evaluations", json=body, headers={"Idempotency-Key": "raced"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))
    assert {answer.status_code for answer in answers} == {202}
    [run] = {answer.json()["id"] for answer in answers}
    assert service.wait(run)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("body", "expected", "says"),
    [
        ({"suite": "rag-qb"}, (404, "unknown_suite", "suite"), "Known: rag-qa"),
        ({"suite": "rag-qa", "options": {"kk": 1}}, (422, "bad_option", "options.kk"), "It has: sets, settings"),
        ({"suite": "rag-qa", "options": {"k": 0}}, (422, "bad_option", "options.k"), "greater than or equal to 1"),
        (
            {"suite": "rag-qa", "options": {"sets": ["nope"]}},
            (422, "bad_option", "options.sets"),
            "Known: facts, tales",
        ),
        (
            {"suite": "rag-qa", "options": {"sets": ["../x"]}},
            (422, "bad_option", "options.sets"),
            "Known: facts, tales",
        ),
        (
            {"suite": "spurious-rewards", "options": {"rewards": ["not not random"]}},
            (422, "bad_option", "options.rewards.0"),
            "options.rewards.0: There is no reward 'not not random'",
        ),
        ({"suite": "rag-qa", "limit": 0}, (422, "invalid_request", "limit"), "greater than or equal to 1"),
        ({"suite": "rag-qa", "limit": True}, (422, "invalid_request", "limit"), "valid integer"),
        ({"suite": "rag-qa", "limits": 1}, (422, "invalid_request", "limits"), "no field"),
        ({}, (422, "invalid_request", "suite"), "required"),
        ({"suite": "\ud800"}, (422, "invalid_request", "suite"), "half of a surrogate pair"),
        ({"suite": "rag-qa", "options": {"model": "\ud800"}}, (422, "invalid_request", "options"), "surrogate pair"),
        ({"suite": "rag-qa", "options": {"sets": ["a\0b"]}}, (422, "invalid_request", "options"), "NUL"),
    ],
)
def test_a_bad_request_is_told_which_field_is_wrong(
    service: Service, body: dict[str, object], expected: tuple[int, str, str], says: str
) -> None:
    # as ASCII, which can write half of a surrogate pair
    sent = json.dumps(body).encode()
    response = service.http.post("/v1/evaluations", content=sent, headers={"content-type": "application/json"})
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (response.status_code, problem["code"], problem["field"]) == expected
    assert says in problem["detail"]


def test_what_does_not_exist_is_404(service: Service, finished: Run) -> None:
    for path in ("", "/items", "/report", "/events"):
        response = service.http.get(f"/v1/evaluations/eval-none{path}")
        assert (response.status_code, response.json()["code"]) == (404, "unknown_run")
    assert service.http.post("/v1/evaluations/eval-none/cancel").status_code == 404
    response = service.http.get(f"/v1/evaluations/{finished.id}/items", params={"after": "no-item"})
    assert (response.status_code, response.json()["code"]) == (404, "unknown_item")


def test_runs_are_listed_newest_first_page_by_page(service: Service, finished: Run) -> None:
    everything = service.http.get("/v1/evaluations", params={"limit": 100}).json()
    ids = [run["id"] for run in everything["data"]]
    assert finished.id in ids
    assert ids == sorted(ids, reverse=True)
    paged, after = [], None
    while True:
        page = service.http.get("/v1/evaluations", params={"limit": 1, **({"after": after} if after else {})}).json()
        paged += [run["id"] for run in page["data"]]
        after = page["last_id"]
        if not page["has_more"]:
            break
    assert paged == ids
    unknown = service.http.get("/v1/evaluations", params={"after": "no-run"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_run")


def test_items_are_listed_in_order_page_by_page_and_by_value(service: Service, finished: Run) -> None:
    ids = [item["id"] for item in service.items(finished.id)]
    assert len(ids) == len(set(ids)) == 40
    page = service.http.get(f"/v1/evaluations/{finished.id}/items", params={"limit": 15, "after": ids[4]}).json()
    assert [item["id"] for item in page["data"]] == ids[5:20]
    assert page["has_more"]
    assert {item["setting"] for item in service.items(finished.id, setting="rag", set="facts")} == {"rag"}
    assert service.items(finished.id, status="failed") == []


def test_events_tell_every_item_once_and_can_be_taken_up_after_any_of_them(service: Service, finished: Run) -> None:
    events = _events(service, finished.id)
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    assert [data["progress"]["done"] for _, name, data in events if name == "item"] == list(range(1, 41))
    assert [data["status"] for _, name, data in events if name == "run"] == ["queued", "running", "succeeded"]
    assert _events(service, finished.id, after=17) == events[17:]
    assert _events(service, finished.id, after=len(events)) == []


@pytest.mark.parametrize(
    ("last", "says"), [("soon", "valid integer"), ("-1", "greater than or equal to 0"), (str(2**63), "less than")]
)
def test_a_last_event_id_that_is_no_number_of_an_event_is_refused(
    service: Service, finished: Run, last: str, says: str
) -> None:
    response = service.http.get(f"/v1/evaluations/{finished.id}/events", headers={"Last-Event-ID": last})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert says in response.json()["detail"]


def test_the_client_follows_a_run_while_it_goes(service: Service, endpoint: Oracle) -> None:
    endpoint.delay = 0.05

    async def follow(run: str) -> list[Run | ItemFinished]:
        client = EvaluationClient(service.url)
        try:
            return [event async for event in client.follow(run)]
        finally:
            await client.close()

    events = asyncio.run(follow(service.create(limit=5, options={"sets": ["tales"]})["id"]))
    assert sum(isinstance(event, ItemFinished) for event in events) == 15
    last = events[-1]
    assert isinstance(last, Run)
    assert last.status == "succeeded"


def test_cancelling_stops_a_run_and_nothing_is_kept_after_it(service: Service, endpoint: Oracle) -> None:
    endpoint.delay = 0.3
    run = service.create(limit=30, options={"sets": ["tales"]})["id"]
    service.wait(run, done=3)
    cancelled = service.http.post(f"/v1/evaluations/{run}/cancel").json()
    assert cancelled["status"] == "cancelled"
    time.sleep(2.5)
    assert service.get(run) == cancelled
    assert _events(service, run)[-1][2]["status"] == "cancelled"
    asked = sum(endpoint.asked.values())
    time.sleep(1.0)
    assert sum(endpoint.asked.values()) == asked
    assert service.http.post(f"/v1/evaluations/{run}/cancel").json() == cancelled
    # and the place of the run is free again
    assert service.wait(service.create(limit=1, options={"sets": ["facts"]})["id"])["status"] == "succeeded"


def test_a_run_that_has_ended_cannot_be_cancelled(service: Service, finished: Run) -> None:
    response = service.http.post(f"/v1/evaluations/{finished.id}/cancel")
    assert (response.status_code, response.json()["code"]) == (409, "already_finished")


def test_an_item_that_fails_is_kept_with_its_error_and_the_run_goes_on(service: Service, endpoint: Oracle) -> None:
    endpoint.broken = {"house 1 ", "house 7 "}
    run = service.create(limit=30, options={"sets": ["tales"]})["id"]
    ended = service.wait(run)
    assert (ended["status"], ended["progress"]) == ("succeeded", {"done": 90, "total": 90, "failed": 6})
    failed = service.items(run, status="failed")
    assert {item["question_id"] for item in failed} == {"tales:q1", "tales:q7"}
    assert {item["error"] for item in failed} == {"HTTP 500: the oracle is out of order"}
    report = service.http.get(f"/v1/evaluations/{run}/report").json()
    assert {(cell["items"], cell["failed"]) for cell in report["cells"]} == {(28, 2)}


def test_a_run_stops_when_too_many_items_fail_and_says_why(service: Service, endpoint: Oracle) -> None:
    endpoint.broken = {f"house {house} " for house in range(15)}
    run = service.create(limit=30, options={"sets": ["tales"]})["id"]
    ended = service.wait(run)
    assert ended["status"] == "failed"
    assert 20 <= ended["progress"]["done"] < 90
    assert "items failed, more than 20%" in ended["error"]
    assert "the oracle is out of order" in ended["error"]
    assert service.http.get(f"/v1/evaluations/{run}/report").json()["run"]["error"] == ended["error"]


def test_garbage_from_the_endpoint_is_an_error_of_the_item(service: Service, endpoint: Oracle) -> None:
    endpoint.garbage = True
    run = service.create(limit=2, options={"sets": ["tales"], "settings": ["rag"]})["id"]
    service.wait(run)
    assert {item["error"] for item in service.items(run)} == {"an answer that is not JSON: '<html>hello</html>'"}


def test_the_suites_are_listed_with_their_options(service: Service) -> None:
    suite, *others = service.http.get("/v1/suites").json()["data"]
    assert suite["id"] == "rag-qa"
    assert {one["id"] for one in others} >= {"rag", "thinking", "owners", "moe", "retrieval", "lm-eval"}
    assert suite["options"]["properties"]["settings"]["default"] == SETTINGS
    assert suite["options"]["additionalProperties"] is False


def test_missing_data_and_a_missing_endpoint_are_told_apart_and_what_to_do(tmp_path: Path) -> None:
    body = {"suite": "rag-qa", "limit": 1, "options": {"sets": ["facts"]}}
    with serving(tmp_path, "http://127.0.0.1:9", patience="0") as service:
        refused = service.http.post("/v1/evaluations", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "missing_data")
        assert "candor data pull" in refused.json()["detail"]
        write_questions(tmp_path, 2)
        ended = service.wait(service.http.post("/v1/evaluations", json=body).json()["id"])
        assert ended["status"] == "failed"
        assert ended["error"] == "http://127.0.0.1:9/v1/models cannot be reached (ConnectError)"


def _events(service: Service, run: str, after: int = 0) -> list[tuple[int, str, dict[str, Any]]]:
    """All events of a run that has ended."""
    text = service.http.get(f"/v1/evaluations/{run}/events", headers={"Last-Event-ID": str(after)}).text
    events = []
    for frame in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in frame.split("\n"))
        events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return events
