"""The model service over HTTP: the real app under uvicorn, a tiny random model, a real tokenizer."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from services.model.app import create_app
from services.model.engines.base import Generation, Sampling
from services.model.settings import ModelSettings
from shared.contracts.model import AppliedMask, FinalDetail, ModelChatChunk
from tests.unit.model.tiny import save

EXPERTS = [
    {"id": "public"},
    {"id": "papers", "owner": "papers", "licence": "CC-BY-4.0", "tokens": 1000},
    {"id": "medicine", "owner": "medicine"},
    {"id": "python", "owner": "python"},
]
MESSAGES = [{"role": "user", "content": "the owner leaves"}]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = save(tmp_path_factory.mktemp("tiny"))
    (directory / "candor.json").write_text(json.dumps({"experts": EXPERTS}))
    return directory


@pytest.fixture(scope="module")
def app(checkpoint: Path) -> FastAPI:
    return create_app(ModelSettings(directory=checkpoint, dtype="float32", threads=1, max_batch=4, max_queue=3))


@pytest.fixture(scope="module")
def server(app: FastAPI) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        _wait_until_ready(address)
        yield address
        running.should_exit = True
        thread.join()


def _wait_until_ready(address: str) -> None:
    for _ in range(600):
        try:
            if httpx.get(address + "/readyz").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("the service did not get ready")


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=60) as client:
        yield client


def chat(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    body = {"model": "candor", "messages": MESSAGES, "temperature": 0, "max_tokens": 12} | fields
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def complete(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    body = {"model": "candor", "prompt": "the owner", "temperature": 0, "max_tokens": 12} | fields
    response = client.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def events(client: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    with client.stream("POST", path, json=body | {"stream": True}) as response:
        assert response.status_code == 200
        data = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    return [json.loads(one) for one in data[:-1]]


def refused(client: httpx.Client, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    response = client.post(path, json=body)
    return response.status_code, response.json()


def test_without_a_mask_only_the_public_expert_computes(client: httpx.Client) -> None:
    answer = chat(client)
    assert answer["candor"]["experts"] == ["public"]
    assert answer["choices"][0]["candor"]["routing"] == {"public": 1, "papers": 0, "medicine": 0, "python": 0}


def test_the_named_experts_compute_and_the_public_one_always(client: httpx.Client) -> None:
    answer = chat(client, candor={"experts": ["python", "papers"]})
    routing = answer["choices"][0]["candor"]["routing"]
    assert answer["candor"]["experts"] == ["public", "papers", "python"]
    assert routing["medicine"] == 0
    assert min(routing["public"], routing["papers"], routing["python"]) > 0
    assert sum(routing.values()) == pytest.approx(1, abs=1e-5)


def test_a_mask_changes_the_answer(client: httpx.Client) -> None:
    texts = {chat(client, candor={"experts": [e]})["choices"][0]["message"]["content"] for e in ("papers", "python")}
    assert len(texts) == 2


def test_n_samples_each_with_their_detail(client: httpx.Client) -> None:
    answer = chat(client, n=3, temperature=1, seed=5, candor={"tokens": True})
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    for choice in answer["choices"]:
        detail = choice["candor"]
        assert len(detail["logprobs"]) == len(detail["mean_logprobs"]) == detail["tokens"]
        assert detail["self_certainty"] > 0
    total = sum(choice["candor"]["tokens"] for choice in answer["choices"])
    assert answer["usage"]["completion_tokens"] == total
    assert answer["usage"]["total_tokens"] == total + answer["usage"]["prompt_tokens"]


def test_a_seed_repeats_the_answer(client: httpx.Client) -> None:
    first, second, other = (
        chat(client, temperature=1, seed=seed)["choices"][0]["message"]["content"] for seed in (5, 5, 6)
    )
    assert first == second != other


def test_a_stream_says_what_the_whole_answer_says(client: httpx.Client) -> None:
    fields = {
        "n": 2,
        "temperature": 1,
        "seed": 8,
        "logprobs": True,
        "top_logprobs": 2,
        "candor": {"experts": ["papers"]},
    }
    whole = chat(client, **fields)
    body = {"model": "candor", "messages": MESSAGES, "max_tokens": 12} | fields
    chunks = events(client, "/v1/chat/completions", body)
    for choice in whole["choices"]:
        own = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        assert "".join(c["delta"]["content"] or "" for c in own) == choice["message"]["content"]
        assert [c["finish_reason"] for c in own if c["finish_reason"]] == [choice["finish_reason"]]
        streamed = [entry for c in own if c["logprobs"] for entry in c["logprobs"]["content"]]
        assert streamed == choice["logprobs"]["content"]
        spelt = bytes(byte for entry in streamed for byte in entry["bytes"])
        assert spelt.decode(errors="replace") == choice["message"]["content"]
    assert chunks[-1]["candor"]["experts"] == ["public", "papers"]
    assert chunks[-1]["candor"]["samples"] == [choice["candor"] for choice in whole["choices"]]
    assert chunks[0]["candor"] == {"experts": ["public", "papers"], "vocabulary": 320}
    assert all(chunk["candor"] is None for chunk in chunks[1:-1])


def test_a_streams_first_chunk_says_its_mask_and_has_no_text_and_its_last_has_the_samples(client: httpx.Client) -> None:
    for usage in (False, True):
        body = CHAT | {"max_tokens": 3, "candor": {"experts": ["python"]}, "stream_options": {"include_usage": usage}}
        first, *others = [
            ModelChatChunk.model_validate(chunk) for chunk in events(client, "/v1/chat/completions", body)
        ]
        assert (type(first.candor), type(others[-1].candor)) == (AppliedMask, FinalDetail)
        assert first.candor is not None
        assert first.candor.experts == ["public", "python"]
        assert not any(choice.delta.content for choice in first.choices)


def test_a_stream_ends_with_usage_when_asked(client: httpx.Client) -> None:
    body = {"model": "candor", "messages": MESSAGES, "max_tokens": 3, "stream_options": {"include_usage": True}}
    last = events(client, "/v1/chat/completions", body)[-1]
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == last["candor"]["samples"][0]["tokens"]


def test_a_stop_string_cuts_the_answer_whole_or_streamed(client: httpx.Client) -> None:
    text = chat(client, max_tokens=30)["choices"][0]["message"]["content"]
    stop = text[5:8]
    stopped = chat(client, max_tokens=30, stop=[stop])["choices"][0]
    assert stopped["message"]["content"] == text[: text.index(stop)]
    assert stopped["finish_reason"] == "stop"
    body = {"model": "candor", "messages": MESSAGES, "temperature": 0, "max_tokens": 30, "stop": stop}
    chunks = events(client, "/v1/chat/completions", body)
    assert (
        "".join(c["delta"]["content"] or "" for chunk in chunks for c in chunk["choices"]) == text[: text.index(stop)]
    )


def test_a_begun_answer_is_continued(client: httpx.Client) -> None:
    whole = chat(client, candor={"tokens": True})
    text = whole["choices"][0]["message"]["content"]
    begun = [*MESSAGES, {"role": "assistant", "content": "the model"}]
    answer = chat(client, messages=begun, candor={"continue_final_message": True})
    assert answer["choices"][0]["message"]["content"] != text
    assert answer["usage"]["prompt_tokens"] > whole["usage"]["prompt_tokens"]


def test_unknown_outer_fields_are_ignored_and_named(client: httpx.Client) -> None:
    (warning,) = chat(client, presence_penalty=0.5)["warnings"]
    assert "presence_penalty" in warning


def test_openai_python_works_unmodified(server: str) -> None:
    with openai.OpenAI(base_url=server + "/v1", api_key="none") as client:
        answer = client.chat.completions.create(
            model="candor",
            messages=[{"role": "user", "content": "the owner leaves"}],
            max_tokens=5,
            extra_body={"candor": {"experts": ["medicine"]}},
        )
        assert answer.choices[0].message.content is not None
        assert answer.model_extra is not None
        assert answer.model_extra["candor"]["experts"] == ["public", "medicine"]
        stream = client.completions.create(model="candor", prompt="the", max_tokens=5, stream=True)
        assert [chunk.choices[0].finish_reason for chunk in stream][-1] in ("stop", "length")
        with pytest.raises(openai.BadRequestError, match="2000 tokens"):
            client.completions.create(model="candor", prompt=[5] * 2000, max_tokens=5)


def test_token_ids_and_text_give_the_same_completion(client: httpx.Client) -> None:
    tokens = client.post("/v1/score", json={"texts": ["the owner"]}).json()["data"][0]["tokens"]
    text = complete(client)["choices"][0]["text"]
    assert complete(client, prompt=tokens)["choices"][0]["text"] == text
    assert [choice["text"] for choice in complete(client, prompt=[tokens, tokens], n=2)["choices"]] == [text] * 4


def test_echoed_log_probabilities_are_the_scores(client: httpx.Client) -> None:
    score = client.post("/v1/score", json={"texts": ["the owner leaves"], "experts": ["papers"]}).json()["data"][0]
    fields = {"prompt": score["tokens"], "echo": True, "logprobs": 1, "candor": {"experts": ["papers"]}}
    for max_tokens in (0, 1):
        choice = complete(client, max_tokens=max_tokens, **fields)["choices"][0]
        found = choice["logprobs"]
        assert found["token_logprobs"][0] is None
        assert found["token_logprobs"][1 : len(score["tokens"])] == score["logprobs"]
        assert len(found["tokens"]) == len(score["tokens"]) + max_tokens
        assert "".join(found["tokens"][: len(score["tokens"])]) == "the owner leaves"
        assert choice["text"].startswith("the owner leaves")


def test_a_streamed_completion_says_what_the_whole_one_says(client: httpx.Client) -> None:
    fields = {"prompt": ["the owner", "a lamp"], "echo": True, "logprobs": 1, "temperature": 0, "max_tokens": 9}
    whole = complete(client, **fields)
    chunks = events(client, "/v1/completions", {"model": "candor"} | fields)
    for choice in whole["choices"]:
        own = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        assert "".join(c["text"] for c in own) == choice["text"]
        for name in ("tokens", "text_offset", "token_logprobs"):
            assert [x for c in own for x in c["logprobs"][name]] == choice["logprobs"][name]
        assert own[-1]["candor"] == choice["candor"]


def test_scores_follow_the_mask_and_say_it(client: httpx.Client) -> None:
    body = {"texts": ["the owner leaves", "a lamp"]}
    public = client.post("/v1/score", json=body).json()
    papers = client.post("/v1/score", json=body | {"experts": ["papers"]}).json()
    assert public["candor"]["experts"] == ["public"]
    assert papers["candor"]["experts"] == ["public", "papers"]
    assert public["data"][0]["logprobs"] != papers["data"][0]["logprobs"]
    for text in public["data"]:
        assert len(text["logprobs"]) == len(text["means"]) == len(text["variances"]) == len(text["tokens"]) - 1
        assert text["routing"]["public"] == 1


def test_models_and_experts_are_listed(client: httpx.Client) -> None:
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["id"], model["max_model_len"]) == ("candor", 640)
    assert client.get("/v1/models/candor").json() == model
    listed = client.get("/v1/experts").json()
    assert (listed["architecture"], listed["active"]) == ("mixtral", 2)
    assert [expert["id"] for expert in listed["data"]] == ["public", "papers", "medicine", "python"]
    assert listed["data"][1] == {
        "id": "papers",
        "index": 1,
        "owner": "papers",
        "licence": "CC-BY-4.0",
        "trained_tokens": 1000,
    }


CHAT = {"model": "candor", "messages": MESSAGES}
TEXT = {"model": "candor", "prompt": "the"}


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field", "said"),
    [
        (
            "chat/completions",
            CHAT | {"candor": {"experts": ["poets"]}},
            404,
            "unknown_expert",
            "candor.experts",
            "poets",
        ),
        ("chat/completions", CHAT | {"candor": {"expert": []}}, 400, "invalid_request", "candor.expert", "expert"),
        ("chat/completions", CHAT | {"model": "gpt"}, 404, "model_not_found", "model", "gpt"),
        ("chat/completions", CHAT | {"messages": []}, 400, "invalid_request", "messages", "at least 1"),
        ("chat/completions", CHAT | {"n": 0}, 400, "invalid_request", "n", "greater"),
        ("chat/completions", CHAT | {"top_logprobs": 2}, 400, "invalid_request", "top_logprobs", "logprobs"),
        ("chat/completions", CHAT | {"logit_bias": {"320": 1}}, 400, "invalid_request", "logit_bias", "320"),
        ("chat/completions", CHAT | {"max_tokens": 640}, 400, "context_length_exceeded", "messages", "640"),
        (
            "chat/completions",
            CHAT | {"candor": {"continue_final_message": True}},
            400,
            "invalid_request",
            "candor.continue_final_message",
            "assistant",
        ),
        ("completions", TEXT | {"prompt": [5] * 641}, 400, "context_length_exceeded", "prompt", "641"),
        ("completions", TEXT | {"prompt": [320]}, 400, "invalid_request", "prompt", "320"),
        ("completions", TEXT | {"prompt": ""}, 400, "invalid_request", "prompt", "no token"),
        ("completions", TEXT | {"prompt": []}, 400, "invalid_request", "prompt", "empty"),
        ("completions", TEXT | {"prompt": ["a"] * 4}, 400, "invalid_request", "prompt", "at most 3"),
        ("completions", TEXT | {"best_of": 3}, 400, "invalid_request", "best_of", "best_of"),
        ("completions", TEXT | {"max_tokens": 0}, 400, "invalid_request", "max_tokens", "echo"),
    ],
)
def test_bad_requests_are_refused_with_the_field(
    *, client: httpx.Client, path: str, body: dict[str, Any], status: int, code: str, field: str, said: str
) -> None:
    for stream in (False, True):
        found, answer = refused(client, f"/v1/{path}", body | {"stream": stream})
        assert (found, answer["error"]["code"], answer["error"]["param"]) == (status, code, field)
        assert said in answer["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"texts": ["a"], "experts": ["poets"]}, 404, "unknown_expert"),
        ({"texts": ["a"], "tokens": [[5]]}, 400, "invalid_request"),
        ({}, 400, "invalid_request"),
        ({"tokens": [[5] * 641]}, 400, "context_length_exceeded"),
        ({"texts": ["a"], "poets": 1}, 422, "invalid_request"),
    ],
)
def test_bad_scores_are_refused_as_problems(client: httpx.Client, body: dict[str, Any], status: int, code: str) -> None:
    found, answer = refused(client, "/v1/score", body)
    assert (found, answer["code"]) == (status, code)


def test_malformed_json_is_a_400(client: httpx.Client) -> None:
    response = client.post("/v1/chat/completions", content=b'{"model": ', headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "tokenise", "body"),
    [
        ("chat/completions", "conversation", CHAT | {"max_tokens": 1}),
        ("completions", "encode", TEXT | {"max_tokens": 1}),
        ("score", "encode", {"texts": ["the owner"]}),
    ],
)
def test_others_are_served_while_a_long_text_is_tokenised(
    *, app: FastAPI, server: str, monkeypatch: pytest.MonkeyPatch, path: str, tokenise: str, body: dict[str, Any]
) -> None:
    tokenizer, begun, served = app.state.service.tokenizer, threading.Event(), threading.Event()
    real = getattr(tokenizer, tokenise)

    def slowly(*args: Any, **fields: Any) -> Any:
        begun.set()
        assert served.wait(10), "nobody was served meanwhile"
        return real(*args, **fields)

    monkeypatch.setattr(tokenizer, tokenise, slowly)
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(httpx.post, f"{server}/v1/{path}", json=body, timeout=30)
        assert begun.wait(10)
        assert httpx.get(f"{server}/livez", timeout=5).status_code == 200
        served.set()
        assert slow.result().status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_its_place(app: FastAPI, server: str, stream: bool) -> None:
    endless = CHAT | {"n": 4, "max_tokens": 600, "stream": stream, "logit_bias": {"2": -100}}
    samples = app.state.service.engine._batch

    async def until(running: int) -> None:
        # far less than the 600 steps would take
        async with asyncio.timeout(4):
            while len(samples.samples) != running:  # noqa: ASYNC110  the engine's thread sets no event
                await asyncio.sleep(0.01)

    async def leave() -> None:
        async with httpx.AsyncClient(base_url=server, timeout=60) as client:
            abandoned = asyncio.create_task(client.post("/v1/chat/completions", json=endless))
            await until(4)
            abandoned.cancel()
            await until(0)

    asyncio.run(leave())


@pytest.mark.parametrize(
    "body", [{"echo": True, "logprobs": 1, "max_tokens": 0}, {"echo": True, "logprobs": 1}, {"texts": True}]
)
def test_a_client_that_goes_away_takes_its_scoring_along(app: FastAPI, server: str, body: dict[str, Any]) -> None:
    path, many = ("score", "texts") if "texts" in body else ("completions", "prompt")
    # some hundreds of batches, if nobody stopped them
    asked = TEXT | body | {many: ["the owner leaves and the model forgets " * 20] * (3 if many == "prompt" else 300)}
    if many == "texts":
        asked = {"texts": asked["texts"]}
    engine, released, held = app.state.service.engine, threading.Event(), threading.Event()
    blocker = Generation((5, 6), frozenset({0}), Sampling(2))

    def hold(_: object) -> None:
        held.set()
        released.wait(30)

    async def leave() -> None:
        engine.submit(blocker, hold)
        await asyncio.to_thread(held.wait, 30)
        async with httpx.AsyncClient(base_url=server, timeout=60) as client:
            abandoned = asyncio.create_task(client.post(f"/v1/{path}", json=asked))
            async with asyncio.timeout(20):
                while not engine._scoring:  # noqa: ASYNC110  the engine's thread sets no event
                    await asyncio.sleep(0.01)
                job = engine._scoring[0]
                abandoned.cancel()
                while not job.cancelled:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        released.set()

    try:
        asyncio.run(leave())
    finally:
        released.set()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", CHAT | {"n": 4, "max_tokens": 40, "logit_bias": {"2": -100}}),
        ("completions", TEXT | {"prompt": ["the", "a"], "n": 2, "max_tokens": 40, "logit_bias": {"2": -100}}),
        ("completions", TEXT | {"prompt": ["the owner leaves " * 60] * 3, "echo": True, "logprobs": 1}),
        ("score", {"texts": ["the owner leaves and the model forgets " * 20] * 4}),
    ],
)
def test_a_full_queue_is_a_429_that_says_when_to_try_again(
    app: FastAPI, server: str, path: str, body: dict[str, Any]
) -> None:
    alone = httpx.post(f"{server}/v1/{path}", json=body | {"temperature": 0} if "model" in body else body, timeout=60)
    assert alone.status_code == 200

    async def flood() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=server, timeout=120) as client:
            return await asyncio.gather(*(client.post(f"/v1/{path}", json=body) for _ in range(16)))

    responses = asyncio.run(flood())
    busy = [response for response in responses if response.status_code == 429]
    assert busy
    assert {response.status_code for response in responses} == {200, 429}
    assert int(busy[0].headers["retry-after"]) >= 1
    assert busy[0].json().get("error", busy[0].json())["code"] == "overloaded"
    # a request of which only some prompts found a place has left none of them behind
    again = httpx.post(f"{server}/v1/{path}", json=body | {"temperature": 0} if "model" in body else body, timeout=60)
    assert again.status_code == 200
    assert not app.state.service.engine._waiting


def test_a_service_without_its_model_says_why_and_answers_503(tmp_path: Path) -> None:
    with TestClient(create_app(ModelSettings(directory=tmp_path / "nothing"))) as client:
        assert client.get("/livez").status_code == 200
        for _ in range(300):
            phase = client.get("/readyz").json()["phase"]
            if phase.startswith("failed"):
                break
            time.sleep(0.1)
        assert client.get("/readyz").status_code == 503
        response = client.post("/v1/chat/completions", json=CHAT)
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "not_ready"
