"""What every app has: two error bodies, request ids, readiness, events."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from shared.contracts.candor import ChatRequest
from shared.contracts.retrieval import SearchRequest
from shared.http import sse
from shared.http.app import create_app
from shared.http.body_limit import MAX_BODY_BYTES
from shared.http.errors import CandorError, InvalidRequest, Overloaded, openai_errors, problems
from shared.http.health import Readiness
from shared.telemetry import configure_logs


class Refused(CandorError):
    status, code = 403, "owner_not_permitted"


router = APIRouter()


@router.post("/v1/chat/completions", responses=openai_errors())
async def chat(body: ChatRequest) -> str:
    if body.model == "refuse":
        raise Refused("This key does not permit 'papers'.", field="candor.owners")
    if body.model == "invalid":
        raise InvalidRequest("The messages end with a question mark.", field="messages")
    return body.model


@router.post("/v1/search", responses=problems())
async def search(body: SearchRequest) -> str:
    if body.query == "busy":
        raise Overloaded("The queue is full.", retry_after=7)
    if body.query == "invalid":
        raise InvalidRequest("The query is a stop word.", field="query")
    if body.query == "crash":
        raise RuntimeError("a secret of the server's inside")
    return body.datastore


@pytest.fixture
def client() -> Iterator[TestClient]:
    @asynccontextmanager
    async def lifespan(app: FastAPI, readiness: Readiness) -> AsyncIterator[None]:
        readiness.enter("loading the index")
        app.state.ready = readiness
        yield

    with TestClient(create_app("Test", [router], lifespan), raise_server_exceptions=False) as client:
        yield client


def test_readiness_does_not_wait_for_a_look_that_hangs_and_an_error_is_a_warning() -> None:
    async def asked() -> None:
        go_on, looks = asyncio.Event(), 0

        async def look() -> list[str]:
            nonlocal looks
            looks += 1
            await go_on.wait()
            return [f"look {looks}"]

        async def refuse() -> list[str]:
            raise OSError("the disk is gone")

        readiness = Readiness(look=look, patience=0.01)
        for _ in range(3):
            assert await asyncio.wait_for(readiness.current(), 5) == ["it is not known yet what is left out: ask again"]
        assert looks == 1
        go_on.set()
        assert await readiness.current() == ["look 1"]
        go_on.clear()
        assert await asyncio.wait_for(readiness.current(), 5) == ["look 1"]
        readiness = Readiness(look=refuse)
        assert await readiness.current() == ["what is left out could not be looked at: the disk is gone"]

    asyncio.run(asked())


def test_openai_paths_answer_with_openai_errors(client: TestClient) -> None:
    body = {"model": "refuse", "messages": [{"role": "user", "content": "hi"}]}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 403
    assert answer.json() == {
        "error": {
            "message": "This key does not permit 'papers'.",
            "type": "permission_error",
            "param": "candor.owners",
            "code": "owner_not_permitted",
        }
    }


def test_other_paths_answer_with_problem_details_and_retry_after(client: TestClient) -> None:
    answer = client.post("/v1/search", json={"query": "busy"}, headers={"x-request-id": "mine-1"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "overloaded"
    assert answer.json()["request_id"] == "mine-1"


@pytest.mark.parametrize(
    ("extension", "field"),
    [
        ({"frobnicate": 1}, "candor.frobnicate"),
        ({"retrieval": {"k": 0}}, "candor.retrieval.k"),
        ({"owners": {"exclude": ["Not An Id"]}}, "candor.owners.exclude.0"),
        ({"owners": {"include": ["papers"], "exclude": ["news"]}}, "candor.owners"),
        ({"sampling": {"aggregate": "loudest"}}, "candor.sampling.aggregate"),
        ({"trace": {"corpora": ["a", 3]}}, "candor.trace.corpora.1"),
    ],
)
def test_a_fault_in_the_extension_is_a_400_that_names_its_field(
    client: TestClient, extension: dict[str, object], field: str
) -> None:
    body = {"model": "candor", "messages": [{"role": "user", "content": "hi"}], "candor": extension}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field


def test_a_fault_in_a_union_is_named_as_the_client_wrote_it(client: TestClient) -> None:
    for field, value in (("stop", 5), ("messages.0.content", 5), ("messages.0.role", None)):
        message = {"role": "user", "content": "hi"}
        body: dict[str, object] = {"model": "candor", "messages": [message]}
        if field == "stop":
            body["stop"] = value
        else:
            message[field.rsplit(".", 1)[1]] = value  # type: ignore[assignment]
        assert client.post("/v1/chat/completions", json=body).json()["error"]["param"] == field


def test_a_missing_field_is_named(client: TestClient) -> None:
    answer = client.post("/v1/chat/completions", json={"messages": [{"role": "user"}]})
    assert answer.json()["error"]["param"] in ("model", "messages.0.content")


def test_null_is_an_absent_field_as_in_openais_schema(client: TestClient) -> None:
    nulls: dict[str, object] = dict.fromkeys(["temperature", "top_p", "n", "stream", "stop", "logprobs", "seed"])
    body = {"model": "candor", "messages": [{"role": "user", "content": "hi"}], **nulls}
    assert client.post("/v1/chat/completions", json=body).status_code == 200


def test_a_body_beyond_the_limit_is_refused(client: TestClient) -> None:
    def in_pieces() -> Iterator[bytes]:
        yield b'{"query": "'
        for _ in range(MAX_BODY_BYTES >> 20):
            yield b"x" * (1 << 20)
        yield b'"}'

    json_type = {"content-type": "application/json"}
    for body in (b"".join(in_pieces()), in_pieces()):
        answer = client.post("/v1/search", content=body, headers=json_type)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_half_of_a_surrogate_pair_is_refused_and_not_echoed(client: TestClient) -> None:
    body = b'{"model": "candor", "messages": [{"role": "user", "content": "\\ud800 a diagnosis"}]}'
    answer = client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages.0.content"
    assert "diagnosis" not in answer.text


def test_a_body_that_is_not_there_is_asked_for(client: TestClient) -> None:
    answer = client.post("/v1/search", headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["field"] is None


def test_empty_messages_are_named(client: TestClient) -> None:
    answer = client.post("/v1/chat/completions", json={"model": "candor", "messages": []})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages"


PATHS = [("/v1/chat/completions", 400), ("/v1/search", 422)]


@pytest.mark.parametrize("body", [b'{"model": ', b"\xff{}", b"[" * 100_000, b"9" * 5000])
@pytest.mark.parametrize("path", [path for path, _ in PATHS])
def test_what_is_not_json_is_a_400_on_every_path(client: TestClient, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    said = answer.json().get("error", answer.json())
    assert said["code"] == "invalid_request"
    assert "not valid JSON" in json.dumps(said)


CHAT = {"model": "invalid", "messages": [{"role": "user", "content": "a"}]}


@pytest.mark.parametrize(
    ("path", "status", "by_contract", "by_code"),
    [
        ("/v1/chat/completions", 400, {"model": 5}, CHAT),
        ("/v1/search", 422, {"query": 5}, {"query": "invalid"}),
    ],
)
def test_a_field_at_fault_has_one_status_on_a_path_whoever_finds_the_fault(
    client: TestClient, path: str, status: int, by_contract: dict[str, Any], by_code: dict[str, Any]
) -> None:
    for body in (by_contract, by_code):
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json().get("status", status)) == (status, status)
        assert answer.json().get("error", answer.json())["code"] == "invalid_request"


@pytest.mark.parametrize(("path", "status"), PATHS)
@pytest.mark.parametrize("sent", [{}, {"json": []}, {"content": b"{}", "headers": {"content-type": "text/plain"}}])
def test_a_body_that_is_no_json_object_is_said_to_be_none(
    client: TestClient, path: str, status: int, sent: dict[str, Any]
) -> None:
    answer = client.post(path, **sent)
    assert answer.status_code == status
    assert "has to be a JSON object, sent as application/json" in answer.text


@pytest.mark.parametrize(("path", "status"), PATHS)
def test_the_document_names_the_status_of_a_field_at_fault(client: TestClient, path: str, status: int) -> None:
    operation = client.get("/openapi.json").json()["paths"][path]["post"]
    assert {"400", "422"} & operation["responses"].keys() == {str(status)}


def test_an_unforeseen_error_tells_nothing_of_the_inside(client: TestClient) -> None:
    answer = client.post("/v1/search", json={"query": "crash"}, headers={"x-request-id": "mine-2"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine-2"


def test_the_log_of_a_failure_has_its_cause_and_not_what_the_user_wrote(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.reset_defaults()
    configure_logs()
    client.post("/v1/search", json={"query": "crash", "datastore": "a-diagnosis"}, headers={"authorization": "a-key"})
    logged = capsys.readouterr().err
    assert "a secret of the server's inside" in logged
    assert "a-diagnosis" not in logged
    assert "a-key" not in logged


def test_an_unknown_path_and_a_wrong_method_have_the_same_body_as_other_errors(client: TestClient) -> None:
    assert client.get("/nowhere").json()["code"] == "not_found"
    assert client.get("/v1/search").json()["code"] == "method_not_allowed"


def test_a_request_id_is_echoed_when_sane_and_replaced_when_not(client: TestClient) -> None:
    assert client.get("/livez", headers={"x-request-id": "abc.1"}).headers["x-request-id"] == "abc.1"
    replaced = client.get("/livez", headers={"x-request-id": "a b\t<script>"}).headers["x-request-id"]
    assert replaced.startswith("req-")


def test_readyz_is_503_with_the_phase_until_ready(client: TestClient) -> None:
    early = client.get("/readyz")
    assert (early.status_code, early.json()["phase"]) == (503, "loading the index")
    client.app.state.readiness.done()  # type: ignore[attr-defined]
    assert client.get("/readyz").status_code == client.get("/health").status_code == 200


def test_metrics_count_requests_by_route_and_not_by_path(client: TestClient) -> None:
    client.get("/nowhere/1")
    client.get("/livez")
    text = client.get("/metrics").text
    assert 'route="/livez"' in text
    assert "/nowhere/1" not in text


def test_a_silent_stream_is_kept_alive_with_pings_and_closed_with_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PING_SECONDS", 0.01)
    closed = []

    async def frames() -> AsyncIterator[str]:
        try:
            await asyncio.sleep(0.05)
            yield sse.event("one\ntwo", id="1", name="tick")
            yield sse.DONE
            await asyncio.sleep(60)
        finally:
            closed.append(True)

    async def read() -> list[str]:
        body = sse.sse(frames()).body_iterator
        got: list[str] = []
        async for frame in body:
            got.append(str(frame))
            if got[-1] == sse.DONE:
                break
        await body.aclose()  # type: ignore[attr-defined]
        return got

    got = asyncio.run(read())
    assert got[0] == ": ping\n\n"
    assert got[-2:] == ["id: 1\nevent: tick\ndata: one\ndata: two\n\n", sse.DONE]
    assert closed == [True]
