"""The gateway with every service down: what it refuses, and how it says that it cannot answer."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from gateway.settings import GatewaySettings
from shared.contracts.gateway import OwnerList, StackReadiness
from tests.contract.gateway_support import closed_port, gateway, serving

QUESTION = [{"role": "user", "content": "How tall is the lighthouse of Brenholm?"}]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = GatewaySettings(
        model_url=closed_port(),
        retrieval_url=closed_port(),
        tracing_url=closed_port(),
        evaluation_url=closed_port(),
        database_url=f"sqlite:///{tmp_path_factory.mktemp('gateway') / 'gateway.db'}",
    )
    with gateway(settings) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


def ask(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json={"model": "candor", "messages": QUESTION, **body})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("body", "answered", "says"),
    [
        ({"messages": []}, (400, "messages"), "at least 1 item"),
        ({"messages": [{"role": "user", "content": " "}]}, (400, "messages"), "empty"),
        ({"messages": [{"role": "system", "content": "x"}]}, (400, "messages"), "'user'"),
        ({"messages": [{"role": "pirate", "content": "x"}]}, (400, "messages.0.role"), "user"),
        ({"model": "gpt-9"}, (404, "model"), "candor-rag"),
        ({"temperature": 9}, (400, "temperature"), "less than or equal to 2"),
        ({"n": 0}, (400, "n"), "greater than or equal to 1"),
        ({"candor": {"frobnicate": 1}}, (400, "candor.frobnicate"), "no field"),
        ({"owners": {"exclude": ["papers"]}}, (400, "owners"), "as candor.owners."),
        ({"exclude": ["papers"]}, (400, "exclude"), "as candor.owners.exclude."),
        ({"experts": ["papers"]}, (400, "experts"), "it has owners, retrieval"),
        ({"candour": {"owners": {"exclude": ["papers"]}}}, (400, "candour"), "`candor`"),
        ({"extra_body": {"candor": {}}}, (400, "extra_body"), "`candor`"),
        ({"retrieval": False}, (400, "retrieval"), "as candor.retrieval."),
        ({"candor": {"retrieval": {"k": 0}}}, (400, "candor.retrieval.k"), "greater than or equal to 1"),
        ({"candor": {"retrieval": {"kk": 3}}}, (400, "candor.retrieval.kk"), "no field"),
        ({"candor": {"trace": {"documents": -1}}}, (400, "candor.trace.documents"), "greater than or equal to 0"),
        ({"candor": {"trace": {"corpora": ["atlantis"]}}}, (404, "candor.trace.corpora"), "atlantis"),
        (
            {"candor": {"owners": {"exclude": ["papers"]}, "trace": {"corpora": ["papers"]}}},
            (404, "candor.trace.corpora"),
            "of the effective owners",
        ),
        ({"candor": {"sampling": {"samples": 0}}}, (400, "candor.sampling.samples"), "greater than or equal to 1"),
        ({"candor": {"sampling": {"aggregate": "dice"}}}, (400, "candor.sampling.aggregate"), "confidence"),
        ({"candor": {"sampling": {"aggregate": "verifier"}}}, (400, "candor.sampling"), "say in `verifier`"),
        (
            {"candor": {"sampling": {"verifier": {"kind": "oracle"}}}},
            (400, "candor.sampling.verifier"),
            "'math', 'code', 'json_schema', 'regex', 'http'",
        ),
        (
            {"candor": {"sampling": {"verifier": {"kind": "regex", "pattern": "("}}}},
            (400, "candor.sampling.verifier.pattern"),
            "no regular expression",
        ),
        (
            {"candor": {"sampling": {"verifier": {"kind": "http", "url": "http://127.0.0.1/"}}}},
            (501, "candor.sampling.verifier.kind"),
            "CANDOR_GATEWAY_VERIFIER_HOSTS",
        ),
        ({"candor": {"owners": {"exclude": ["nobody"]}}}, (404, "candor.owners.exclude"), "Known: encyclopedia"),
        ({"candor": {"owners": {"include": ["nobody"]}}}, (404, "candor.owners.include"), "Known: encyclopedia"),
        ({"candor": {"owners": {"exclude": ["encyclopedia"]}}}, (400, "candor.owners.exclude"), "always on"),
        ({"candor": {"owners": {"include": ["news"], "exclude": ["news"]}}}, (400, "candor.owners"), "not both"),
    ],
)
def test_bad_input_is_a_4xx_that_names_the_field_before_anything_is_called(
    alone: httpx.Client, body: dict[str, Any], answered: tuple[int, str], says: str, stream: bool
) -> None:
    response = ask(alone, **body, stream=stream)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == answered, error
    assert says in error["message"]
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("field", ["owners", "experts", "exclude", "retrieval"])
def test_a_completion_that_says_outside_of_candor_whose_experts_compute_is_refused(
    alone: httpx.Client, field: str
) -> None:
    response = alone.post("/v1/completions", json={"model": "candor", "prompt": "x", field: ["papers"]})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "invalid_request", field)
    assert "`candor`" in error["message"]


def test_texts_of_an_owner_who_is_left_out_do_not_decide_what_a_completion_avoids(alone: httpx.Client) -> None:
    for owners, status, field in (
        ({"exclude": ["papers"]}, 400, "candor.memfree"),
        ({"include": ["news"]}, 400, "candor.memfree"),
        # allowed; there is no model to ask
        ({"include": ["papers"]}, 503, None),
    ):
        body = {"model": "candor", "prompt": "x", "candor": {"owners": owners, "memfree": ["papers"]}}
        response = alone.post("/v1/completions", json=body)
        assert (response.status_code, response.json()["error"]["param"]) == (status, field)


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_whoever_leaves_an_owner_out_in_the_address_is_refused(alone: httpx.Client, path: str) -> None:
    body = {"model": "candor", "prompt": "x", "messages": [{"role": "user", "content": "x"}]}
    response = alone.post(f"/v1/{path}?api-version=1&exclude=papers", json=body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "invalid_request", "exclude")
    assert "candor.owners.exclude" in error["message"]


def test_malformed_json_is_said_to_be_so(alone: httpx.Client) -> None:
    response = alone.post("/v1/chat/completions", content=b'{"model": ', headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "not valid JSON" in response.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_without_the_model_there_is_no_answer_and_the_error_names_the_stage(alone: httpx.Client, stream: bool) -> None:
    response = ask(alone, candor={"retrieval": False}, stream=stream)
    assert response.status_code == 503
    assert (response.json()["error"]["code"], "'generate'" in response.text) == ("stage_failed", True)
    assert int(response.headers["retry-after"]) > 0


def test_a_strict_request_fails_at_the_first_stage_that_is_down(alone: httpx.Client) -> None:
    response = ask(alone, candor={"strict": True})
    assert (response.status_code, "'retrieve'" in response.text) == (503, True)


def test_it_is_not_ready_and_says_which_services_are_missing(alone: httpx.Client) -> None:
    response = alone.get("/readyz")
    readiness = StackReadiness.model_validate_json(response.content)
    assert response.status_code == 503
    assert set(readiness.services) == {"model", "retrieval", "tracing", "evaluation"}
    assert not any(service.ready for service in readiness.services.values())
    assert alone.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/search", {"query": "x"}),
        ("POST", "/search", {"query": "x"}),
        ("GET", "/v1/datastores", None),
        ("GET", "/v1/datastores/main/documents/a:b", None),
        ("POST", "/v1/trace", {"text": "x"}),
        ("POST", "/v1/count", {"text": "x"}),
        ("POST", "/v1/find", {"text": "x"}),
        ("GET", "/v1/corpora", None),
        ("GET", "/v1/corpora/news/documents/a:b", None),
        ("GET", "/v1/experts", None),
        ("POST", "/v1/score", {"texts": ["x"]}),
        ("POST", "/v1/routing", {"text": "x"}),
        ("POST", "/v1/routing/analysis", {"texts": {"a": ["x"]}}),
        ("GET", "/v1/suites", None),
        ("POST", "/v1/evaluations", {"suite": "rag-qa"}),
        ("GET", "/v1/evaluations/e1/events", None),
    ],
)
def test_a_resource_whose_service_is_down_is_a_503_problem(
    alone: httpx.Client, method: str, path: str, body: dict[str, Any] | None
) -> None:
    response = alone.request(method, path, json=body)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "service_unavailable"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/completions", "/v1/embeddings"])
def test_openais_paths_have_openais_errors(alone: httpx.Client, path: str) -> None:
    body = {"model": "candor", "prompt": "x"} if "completions" in path else {"input": "x"}
    response = alone.get(path) if path == "/v1/models" else alone.post(path, json=body)
    assert response.status_code == 503
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "path", ["/v1/search", "/v1/trace", "/v1/count", "/v1/find", "/v1/score", "/v1/routing", "/v1/routing/analysis"]
)
def test_no_resource_takes_an_owner_that_does_not_exist(alone: httpx.Client, path: str) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "/v1/search": {"query": "x"},
        "/v1/score": {"texts": ["x"]},
        "/v1/routing/analysis": {"texts": {"a": ["x"]}},
    }
    body = bodies.get(path, {"text": "x"})
    response = alone.post(path, json={**body, "owners": ["nobody"]})
    assert (response.status_code, response.json()["field"]) == (404, "owners")


def test_the_owners_are_listed_with_licence_experts_and_corpora(alone: httpx.Client) -> None:
    owners = OwnerList.model_validate_json(alone.get("/v1/owners").content).data
    assert [owner.id for owner in owners] == [
        "encyclopedia",
        "papers",
        "medicine",
        "python",
        "news",
        "literature",
        "textbooks",
    ]
    assert [owner.id for owner in owners if owner.public] == ["encyclopedia"]
    assert alone.get("/v1/owners/papers").json()["experts"] == ["papers"]
    assert alone.get("/v1/owners/nobody").status_code == 404


def test_the_ledger_starts_empty_and_unknown_ids_are_not_found(alone: httpx.Client) -> None:
    assert alone.get("/v1/ledger").json()["data"] == []
    assert alone.get("/v1/ledger", params={"after": "x"}).status_code == 404
    assert alone.get("/v1/traces/x").json()["code"] == "not_found"


def test_the_document_of_the_api_is_fit_for_generated_clients(alone: httpx.Client) -> None:
    document = alone.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert all(len(operation["tags"]) == 1 for operation in operations)


def test_the_request_id_is_echoed(alone: httpx.Client) -> None:
    assert ask(alone).headers["x-request-id"].startswith("req-")
    sent = alone.get("/v1/owners", headers={"x-request-id": "mine-7"})
    assert sent.headers["x-request-id"] == "mine-7"


def test_a_ledger_that_cannot_be_opened_keeps_the_gateway_from_being_ready(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    settings = GatewaySettings(database_url=f"sqlite:///{tmp_path / 'file' / 'gateway.db'}")
    with serving(create_app(settings)) as address, httpx.Client(base_url=address, timeout=60) as client:
        until = time.monotonic() + 120
        while "failed" not in client.get("/readyz").json()["phase"] and time.monotonic() < until:
            time.sleep(0.05)
        assert "gateway: failed" in client.get("/readyz").json()["phase"]
        assert client.get("/v1/ledger").status_code == 503


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("trace", {"text": "a", "prompt": "\ud800"}),
        ("trace", {"text": "a", "passages": [{"id": "a", "text": "\ud800"}]}),
        ("trace", {"text": "a", "corpora": ["\ud800"]}),
        ("trace/batch", {"items": [{"text": "\ud800"}]}),
        ("count", {"clauses": [["\ud800"]]}),
        ("find", {"text": "a", "corpora": ["\ud800"]}),
        ("ngram", {"text": "\ud800"}),
    ],
)
def test_half_a_surrogate_pair_is_refused_before_a_service_is_asked(
    alone: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    headers = {"content-type": "application/json"}
    response = alone.post(f"/v1/{path}", content=json.dumps(body), headers=headers)
    assert response.status_code == 422, response.text
