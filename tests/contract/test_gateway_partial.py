"""A gateway with one real service missing: the answer without its part, or 503 when the request is strict."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from gateway.settings import GatewaySettings
from tests.contract.gateway_support import closed_port, gateway

if TYPE_CHECKING:
    from gateway.embedded import RunningStack

QUESTION = "How many boroughs does New York City have?"


@contextmanager
def without(service: str, running: "RunningStack", folder: Path) -> Iterator[httpx.Client]:
    urls = {**running.urls, service: closed_port()}
    settings = GatewaySettings(
        model_url=urls["model"],
        retrieval_url=urls["retrieval"],
        tracing_url=urls["tracing"],
        evaluation_url=urls["evaluation"],
        database_url=f"sqlite:///{folder / 'gateway.db'}",
    )
    with gateway(settings) as address, httpx.Client(base_url=address, timeout=300) as client:
        while client.get("/v1/ledger").status_code != 200:
            pass
        yield client


def ask(client: httpx.Client, *, strict: bool = False, stream: bool = False) -> httpx.Response:
    candor: dict[str, Any] = {"strict": strict, "sampling": {"samples": 1, "budget": 16}}
    body = {"model": "candor", "messages": [{"role": "user", "content": QUESTION}], "stream": stream, "candor": candor}
    return client.post("/v1/chat/completions", json=body)


@pytest.mark.parametrize(("service", "stage"), [("retrieval", "retrieve"), ("tracing", "trace")])
def test_a_service_that_is_down_loses_its_part_and_not_the_answer(
    service: str, stage: str, running: "RunningStack", tmp_path: Path
) -> None:
    with without(service, running, tmp_path) as client:
        answer = ask(client).json()
        assert answer["choices"][0]["message"]["content"]
        assert [failed["stage"] for failed in answer["candor"]["failed"]] == [stage]
        assert (answer["candor"]["passages"] == []) is (service == "retrieval")
        assert (answer["candor"]["trace"] is None) is (service == "tracing")


@pytest.mark.parametrize(("service", "stage"), [("retrieval", "retrieve"), ("tracing", "trace"), ("model", "generate")])
def test_under_strict_it_is_a_503_that_names_the_stage(
    service: str, stage: str, running: "RunningStack", tmp_path: Path
) -> None:
    with without(service, running, tmp_path) as client:
        response = ask(client, strict=True)
        assert response.status_code == 503
        assert f"'{stage}'" in response.json()["error"]["message"]


def test_a_strict_stream_that_fails_after_its_text_ends_with_an_error_and_done(
    running: "RunningStack", tmp_path: Path
) -> None:
    with without("tracing", running, tmp_path) as client:
        response = ask(client, strict=True, stream=True)
        events = [line for line in response.text.splitlines() if line.startswith("data: ")]
        assert response.status_code == 200
        assert '"error"' in events[-2]
        assert "'trace'" in events[-2]
        assert events[-1] == "data: [DONE]"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_aborts_its_samples_upstream(running: "RunningStack", stream: bool) -> None:
    body = {
        "model": "candor-plain",
        "messages": [{"role": "user", "content": "Count from one to a thousand, in words."}],
        "stream": stream,
        "temperature": 2,
        "max_tokens": 2000,
    }
    before = chats_ended(running.urls["model"])
    leave_early(f"{running.address}/v1/chat/completions", body)
    until = time.monotonic() + 20
    while chats_ended(running.urls["model"]) == before and time.monotonic() < until:
        time.sleep(0.1)
    # two thousand tokens take more than a minute
    assert chats_ended(running.urls["model"]) > before


def leave_early(url: str, body: dict[str, Any]) -> None:
    """Close the connection at the first byte of the answer, or after three seconds without one."""
    with suppress(httpx.ReadTimeout), httpx.stream("POST", url, json=body, timeout=3) as response:
        next(response.iter_raw())


def chats_ended(model: str) -> float:
    """How many chat requests the model service has ended, one way or another."""
    lines = httpx.get(f"{model}/metrics").text.splitlines()
    ended = [line for line in lines if line.startswith("candor_requests_total") and '"/v1/chat/completions"' in line]
    return sum(float(line.split()[-1]) for line in ended)
