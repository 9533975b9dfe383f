"""What an endpoint can do wrong: each item keeps what happened to it, and a run of faults alone stops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.evaluation_fixtures import endpoint, orderly
from tests.contract.evaluation_support import Oracle, Service, serving, write_questions

__all__ = ["endpoint", "orderly"]

OPTIONS = {"sets": ["tales"], "settings": ["closed_book"]}


@pytest.fixture(scope="module")
def service(endpoint: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    write_questions(home)
    with serving(home, endpoint.url) as running:
        yield running


def completion(**changes: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": "blue"}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"completion_tokens": 1}, **changes}


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b'{"choices": [', "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "no chat completion"),
        (b'{"choices": []}', "no chat completion"),
        (b'{"choices": {"0": 1}}', "no chat completion"),
        (json.dumps(completion(usage={"completion_tokens": "many"})).encode(), "'many' tokens"),
        (json.dumps(completion(usage={"completion_tokens": -1})).encode(), "'-1' tokens"),
        (json.dumps(completion(usage={"completion_tokens": 10**30})).encode(), "tokens"),
    ],
)
def test_garbage_is_an_error_of_the_item_and_its_report_can_still_be_read(
    service: Service, endpoint: Oracle, sent: bytes, says: str
) -> None:
    endpoint.instead = sent
    run = service.create(limit=2, options=OPTIONS)["id"]
    ended = service.wait(run)
    assert ended["progress"] == {"done": 2, "total": 2, "failed": 2}
    assert {item["status"] for item in service.items(run)} == {"failed"}
    assert all(says in item["error"] for item in service.items(run))
    [cell] = service.report(run).cells
    assert (cell.items, cell.failed, cell.failure.mean, cell.scores) == (0, 2, 1.0, {})
    for form in ("html", "markdown"):
        assert service.http.get(f"/v1/evaluations/{run}/report", params={"format": form}).status_code == 200


def test_characters_that_no_database_keeps_are_replaced_and_the_answer_is_scored(
    service: Service, endpoint: Oracle
) -> None:
    choice = {"message": {"content": "blue\ud800 number\x00 1"}, "finish_reason": "stop\x00"}
    endpoint.instead = json.dumps(completion(choices=[choice], system_fingerprint="a\udfff")).encode()
    run = service.create(limit=2, options=OPTIONS)["id"]
    assert service.wait(run)["status"] == "succeeded"
    [first, _] = service.items(run)
    assert first["output"] == "blue\ufffd number\ufffd 1"
    assert first["details"]["fingerprint"] == "a\ufffd"
    assert service.http.get(f"/v1/evaluations/{run}/report", params={"format": "html"}).status_code == 200


def test_a_run_of_faults_alone_stops_soon_and_says_the_last(service: Service, endpoint: Oracle) -> None:
    endpoint.broken = {"house"}
    run = service.create(limit=30, options={"sets": ["tales"]})["id"]
    ended = service.wait(run)
    assert ended["status"] == "failed"
    assert 20 <= ended["progress"]["done"] < 30
    assert "more than 20%" in ended["error"]
    assert "the oracle is out of order" in ended["error"]
    assert all(cell.failure.mean == 1 for cell in service.report(run).cells)
    page = service.http.get(f"/v1/evaluations/{run}/report", params={"format": "html"}).text
    assert "the oracle is out of order" in page
