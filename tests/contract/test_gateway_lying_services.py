"""Services that do not do as they were told: the gateway believes what they say of themselves, and answers nothing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from gateway.settings import GatewaySettings
from tests.contract.gateway_support import closed_port, gateway, serving

SECRET = "Foxglove slows the heart."
OWNERS = {"exclude": ["medicine", "papers"]}
"""What remains: of the model's experts only those of python, and the public one."""


@dataclass
class Said:
    """What the service says of itself, whatever it was asked. As it stands here, it is what it was asked."""

    mask: list[str] | None = field(default_factory=lambda: ["public", "python"])
    routing: dict[str, float] = field(default_factory=lambda: {"public": 0.5, "python": 0.5})
    owners: list[str] = field(default_factory=lambda: ["encyclopedia", "python"])
    passage_owner: str = "python"
    answers: int = 2


class Service:
    """Stands for a model service, a retrieval service and a tracing service, any of which may be faulty."""

    def __init__(self, always_on: str = "") -> None:
        self.said, self.always_on = Said(), always_on

    def app(self) -> FastAPI:
        app = FastAPI()
        app.get("/v1/experts")(self.experts)
        app.get("/v1/models")(
            lambda: {"data": [{"id": "candor", "created": 0, "owned_by": "candor", "max_model_len": 4096}]}
        )
        app.post("/v1/chat/completions", response_model=None)(self.chat)
        app.post("/v1/completions", response_model=None)(self.complete)
        app.post("/v1/search")(self.search)
        app.post("/v1/trace")(self.trace)
        app.post("/v1/trace/batch")(lambda: {"data": [self.trace()] * self.said.answers})
        app.post("/v1/count/batch")(lambda: {"data": [self.count()] * self.said.answers})
        return app

    def experts(self) -> dict[str, Any]:
        names = ["public", "papers", "medicine", "python"]
        data = [
            {"id": name, "index": place, "owner": None, "public": name in ("public", self.always_on)}
            for place, name in enumerate(names)
        ]
        return {"model": "candor", "architecture": "mixtral", "active": 2, "data": data}

    def chat(self, body: dict[str, Any]) -> dict[str, Any] | StreamingResponse:
        sample = {"tokens": 4, "routing": self.said.routing, "self_certainty": 1.0}
        applied = None if self.said.mask is None else {"experts": self.said.mask, "vocabulary": 320}
        head = {"id": "c", "created": 0, "model": "candor"}
        if not body.get("stream"):
            choice = {"index": 0, "message": {"content": SECRET}, "finish_reason": "stop", "candor": sample}
            usage = {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}
            return head | {"choices": [choice] * body.get("n", 1), "usage": usage, "candor": applied}
        # it corrects itself at its end, when it is too late
        final = {"experts": ["public", "python"], "vocabulary": 320, "samples": [sample]}
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}], "candor": applied},
            {"choices": [{"index": 0, "delta": {"content": SECRET}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "candor": final},
        ]
        events = [f"data: {json.dumps(head | chunk)}\n\n" for chunk in chunks]
        return StreamingResponse(iter([*events, "data: [DONE]\n\n"]), media_type="text/event-stream")

    def complete(self, body: dict[str, Any]) -> dict[str, Any] | StreamingResponse:
        sample = {"tokens": 4, "routing": self.said.routing, "self_certainty": 1.0}
        applied = {"experts": self.said.mask, "vocabulary": 320}
        choice = {"index": 0, "text": SECRET, "finish_reason": "stop", "candor": sample}
        head: dict[str, Any] = {"id": "c", "created": 0, "model": "candor"}
        whole = head | {"choices": [choice], "candor": applied}
        if not body.get("stream"):
            return whole
        # it corrects itself at its end, when it is too late
        first = head | {"choices": [choice | {"finish_reason": None, "candor": None}], "candor": applied}
        last = whole | {"candor": {"experts": ["public", "python"], "vocabulary": 320}}
        events = [f"data: {json.dumps(chunk)}\n\n" for chunk in (first, last)]
        return StreamingResponse(iter([*events, "data: [DONE]\n\n"]), media_type="text/event-stream")

    def search(self) -> dict[str, Any]:
        passage = {
            "id": "p",
            "document": "d",
            "owner": self.said.passage_owner,
            "source": "s",
            "title": "t",
            "licence": "CC0-1.0",
            "text": SECRET,
            "start": 0,
            "end": len(SECRET),
            "scores": {},
        }
        return {
            "datastore": "main",
            "index": "hybrid",
            "owners": self.said.owners,
            "results": [[passage]],
            "timings": {},
        }

    def count(self) -> dict[str, Any]:
        return {"count": 0, "tokens": [], "corpora": [], "owners": self.said.owners}

    def trace(self) -> dict[str, Any]:
        return {"spans": [], "tokens": 4, "owners": self.said.owners, "corpora": [], "timings": {}}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, httpx.Client]]:
    """The service, and a gateway that takes it for all of its own."""
    service = Service()
    with before(service, tmp_path_factory.mktemp("gateway")) as client:
        yield service, client


@contextmanager
def before(service: Service, home: Path) -> Iterator[httpx.Client]:
    with serving(service.app()) as url:
        settings = GatewaySettings(
            model_url=url,
            retrieval_url=url,
            tracing_url=url,
            evaluation_url=closed_port(),
            database_url=f"sqlite:///{home / 'gateway.db'}",
        )
        with gateway(settings) as address, httpx.Client(base_url=address, timeout=30) as client:
            yield client


@pytest.fixture
def service(standing: tuple[Service, httpx.Client]) -> Service:
    standing[0].said = Said()
    return standing[0]


@pytest.fixture
def client(standing: tuple[Service, httpx.Client]) -> httpx.Client:
    return standing[1]


def ask(client: httpx.Client, *, stream: bool, **candor: Any) -> httpx.Response:
    body = {
        "model": "candor-plain",
        "messages": [{"role": "user", "content": "What does foxglove do?"}],
        "stream": stream,
        "candor": {"owners": OWNERS, **candor},
    }
    return client.post("/v1/chat/completions", json=body)


def assert_nothing_is_answered(response: httpx.Response) -> None:
    assert (response.status_code, "consent_not_applied" in response.text) == (503, True), response.text
    assert "oxglove" not in response.text


@pytest.mark.parametrize("stream", [False, True])
def test_a_service_that_does_as_it_was_told_is_answered_from(
    service: Service, client: httpx.Client, stream: bool
) -> None:
    response = ask(client, stream=stream, retrieval={}, trace={})
    assert (response.status_code, "oxglove" in response.text) == (200, True), response.text
    assert '"error"' not in response.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize(
    "mask", [["public", "python", "medicine"], ["public", "papers", "python"], ["public"], ["python"], []]
)
def test_not_a_word_is_answered_under_another_mask_than_the_one_asked_for(
    service: Service, client: httpx.Client, mask: list[str], samples: int, stream: bool
) -> None:
    service.said = Said(mask=mask)
    assert_nothing_is_answered(ask(client, stream=stream, sampling={"samples": samples}))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mask", [["public", "python"], ["public", "python", "medicine"], ["public"], []])
def test_not_a_word_is_completed_under_another_mask_than_the_one_asked_for(
    service: Service, client: httpx.Client, mask: list[str], stream: bool
) -> None:
    service.said = Said(mask=mask)
    body = {"model": "candor", "prompt": "Foxglove", "stream": stream, "candor": {"owners": OWNERS}}
    response = client.post("/v1/completions", json=body)
    if mask == Said().mask:
        assert (response.status_code, SECRET in response.text) == (200, True)
    else:
        assert_nothing_is_answered(response)


def test_not_a_word_is_streamed_by_a_model_that_does_not_say_its_mask_first(
    service: Service, client: httpx.Client
) -> None:
    service.said = Said(mask=None)
    assert_nothing_is_answered(ask(client, stream=True))


def test_an_expert_that_computed_though_it_was_left_out_refuses_the_answer(
    service: Service, client: httpx.Client
) -> None:
    service.said = Said(routing={"public": 0.5, "medicine": 0.5})
    assert_nothing_is_answered(ask(client, stream=False))
    streamed = ask(client, stream=True)
    events = [line for line in streamed.text.splitlines() if line.startswith("data: ")]
    assert "consent_not_applied" in events[-2]
    assert events[-1] == "data: [DONE]"


def test_an_expert_that_the_model_has_always_on_and_the_registry_gives_to_an_owner_answers_nothing_without_him(
    tmp_path: Path,
) -> None:
    """It is in no mask and no routing by its name: those have it for a part of the public expert."""
    with before(Service(always_on="medicine"), tmp_path) as client:
        assert_nothing_is_answered(ask(client, stream=False))
        assert_nothing_is_answered(ask(client, stream=True))
        for path, body in (
            ("/v1/completions", {"model": "candor", "prompt": "Foxglove", "candor": {"owners": OWNERS}}),
            ("/v1/score", {"texts": ["Foxglove"], "owners": ["python"]}),
            ("/v1/routing", {"text": "Foxglove", "owners": ["python"]}),
            ("/v1/routing/analysis", {"texts": {"plants": ["Foxglove"]}, "owners": ["python"]}),
        ):
            assert_nothing_is_answered(client.post(path, json=body))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("lie", [{"owners": ["encyclopedia", "medicine"]}, {"passage_owner": "medicine"}])
def test_passages_of_an_owner_left_out_refuse_the_answer_and_the_search(
    service: Service, client: httpx.Client, lie: dict[str, Any], stream: bool
) -> None:
    service.said = Said(**lie)
    assert_nothing_is_answered(ask(client, stream=stream, retrieval={}))
    assert_nothing_is_answered(client.post("/v1/search", json={"query": "foxglove", "owners": ["python"]}))


def test_a_trace_in_the_text_of_an_owner_left_out_refuses_the_answer(service: Service, client: httpx.Client) -> None:
    service.said = Said(owners=["medicine"])
    assert_nothing_is_answered(ask(client, stream=False, trace={}))
    assert_nothing_is_answered(client.post("/v1/trace", json={"text": SECRET, "owners": ["python"]}))


@pytest.mark.parametrize("path", ["/v1/trace/batch", "/v1/count/batch"])
def test_a_batch_is_refused_if_one_answer_is_of_an_owner_that_its_item_left_out_or_is_missing(
    service: Service, client: httpx.Client, path: str
) -> None:
    body = {"items": [{"text": SECRET, "owners": ["python"]}, {"text": SECRET, "owners": ["python"]}]}
    assert client.post(path, json=body).status_code == 200
    body["items"][1]["owners"] = ["papers"]  # the service searched python's for it, too
    assert_nothing_is_answered(client.post(path, json=body))
    service.said = Said(answers=1)
    assert (client.post(path, json=body).status_code // 100, SECRET in client.post(path, json=body).text) == (5, False)
