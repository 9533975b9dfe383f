"""What every client does with what goes wrong on the way."""

import asyncio

import pytest
from fastapi import FastAPI, Response

from shared.clients.base import ServiceError, segment
from shared.clients.evaluation import EvaluationClient
from shared.clients.model import ModelClient
from shared.clients.retrieval import RetrievalClient
from shared.contracts.evaluation import ItemFinished, Run, RunProgress, RunRequest
from shared.contracts.retrieval import SearchRequest
from shared.http.sse import event
from tests.contract.gateway_support import serving


@pytest.mark.parametrize("text", ["", ".", ".."])
def test_a_dot_segment_is_not_found_before_it_can_change_the_path(text: str) -> None:
    with pytest.raises(ServiceError) as refused:
        segment(text)
    assert refused.value.status == 404


def test_what_a_client_sends_in_a_path_stays_one_segment_of_it() -> None:
    assert segment("a/b?c#d\x00%") == "a%2Fb%3Fc%23d%00%25"


def test_a_service_that_is_down_is_an_error_without_a_status_and_is_not_ready() -> None:
    async def call() -> None:
        client = EvaluationClient("http://127.0.0.1:1")
        try:
            assert not (await client.readiness()).ready
            await client.suites()
        finally:
            await client.close()

    with pytest.raises(ServiceError) as failed:
        asyncio.run(call())
    assert failed.value.status is None
    assert "evaluation" in str(failed.value)


RUN = Run(
    id="eval-1",
    suite="rag",
    status="queued",
    created=0,
    finished=None,
    limit=1,
    seed=0,
    options={},
    versions={},
    progress=RunProgress(done=0, total=1, failed=0),
)


def test_a_run_is_followed_past_a_gateway_that_says_the_service_is_away_and_not_past_one_that_has_no_such_run() -> None:
    app, asked = FastAPI(), list[str]()

    @app.get("/v1/evaluations/{run}/events")
    async def events(run: str) -> Response:
        asked.append(run)
        if run != RUN.id:
            return Response('{"detail": "There is no evaluation."}', 404)
        if len(asked) == 1:
            return Response('{"detail": "no answer"}', 503)
        return Response(event(RUN.model_dump_json(), id="1", name="run"), media_type="text/event-stream")

    async def follow(address: str, run: str) -> list[Run | ItemFinished]:
        client = EvaluationClient(address)
        try:
            return [one async for one in client.follow(run)]
        finally:
            await client.close()

    with serving(app) as address:
        assert asyncio.run(follow(address, RUN.id)) == [RUN]
        assert len(asked) == 2
        with pytest.raises(ServiceError, match="no evaluation"):
            asyncio.run(follow(address, "eval-2"))
        assert len(asked) == 3


def test_a_run_that_takes_long_to_plan_is_waited_for_and_other_calls_are_not() -> None:
    app = FastAPI()

    @app.api_route("/v1/evaluations", methods=["GET", "POST"])
    async def slow() -> Run:
        await asyncio.sleep(0.5)
        return RUN

    async def call(address: str) -> None:
        client = EvaluationClient(address, timeout=0.1)
        try:
            assert await client.create(RunRequest(suite="rag")) == RUN
            with pytest.raises(ServiceError, match="ReadTimeout"):
                await client.runs()
        finally:
            await client.close()

    with serving(app) as address:
        asyncio.run(call(address))


@pytest.mark.parametrize("wrong", [{"datastore": "\ud800"}, {"filter": {"source": ["\ud800"]}}])
def test_what_cannot_be_sent_is_a_fault_of_the_request_and_not_of_the_service(wrong: dict[str, object]) -> None:
    async def call() -> None:
        client = RetrievalClient("http://127.0.0.1:1")
        try:
            await client.search(SearchRequest.model_validate({"query": "heron", **wrong}))
        finally:
            await client.close()

    with pytest.raises(ServiceError, match="half of a surrogate pair") as refused:
        asyncio.run(call())
    assert (refused.value.status, refused.value.code) == (422, "invalid_request")


def test_a_proxy_of_the_environment_is_not_asked_for_our_own_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://nowhere")
    asyncio.run(ModelClient("http://127.0.0.1:1").close())
