"""What a run keeps of what serves it, over a transport that is known."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from services.evaluation.endpoint import Endpoint, EndpointError
from services.evaluation.suites.served import served

ADDRESS = "http://stack"
EXPERTS = {"model": "candor", "architecture": "flexolmo", "data": []}


def describe(experts: httpx.Response, asked: list[str], *, model: str | None = None) -> dict[str, str]:
    """What is said of an endpoint whose /v1/experts answers this; `model`: it is no Candor stack."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return experts if request.url.path == "/v1/experts" else httpx.Response(200, json={"data": [{"id": "candor"}]})

    async def ask() -> dict[str, str]:
        async with Endpoint(ADDRESS, run="r", api_key=None, timeout=5, patience=0, model=model) as endpoint:
            await endpoint._http.aclose()
            endpoint._http = httpx.AsyncClient(base_url=ADDRESS, transport=httpx.MockTransport(answer))
            return await served(endpoint, "candor")

    return asyncio.run(ask())


def test_a_stack_says_its_weights() -> None:
    found = describe(httpx.Response(200, json=EXPERTS), [])
    assert found == {"endpoint": ADDRESS, "weights": "candor/flexolmo"}


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_that_does_not_know_the_path_has_no_experts(status: int) -> None:
    assert describe(httpx.Response(status), []) == {"endpoint": ADDRESS}


@pytest.mark.parametrize("status", [401, 429, 500, 502, 503, 504])
def test_a_stack_that_cannot_say_its_weights_now_is_not_taken_for_one_without(status: int) -> None:
    """Else the run would go on after a restart without knowing that it is the same model."""
    with pytest.raises(EndpointError) as error:
        describe(httpx.Response(status), [])
    assert error.value.status == status


def test_what_is_no_json_is_no_answer_of_a_stack() -> None:
    with pytest.raises(EndpointError, match="not JSON") as error:
        describe(httpx.Response(200, text="<html>"), [])
    assert error.value.status is None


def test_a_server_that_is_named_with_its_model_is_not_asked_for_experts() -> None:
    asked: list[str] = []
    assert describe(httpx.Response(503), asked, model="candor") == {"endpoint": ADDRESS}
    assert asked == ["/v1/models"]
