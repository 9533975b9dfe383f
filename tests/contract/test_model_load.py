"""Many clients of one model service: those that go away, those that wait, and those that find no place."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.model.engines.base import Generation, Sampling
from tests.contract.model_server import app, client, server
from tests.contract.model_support import CHAT, TEXT

__all__ = ["app", "client", "server"]


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
        assert served.wait(60), "nobody was served meanwhile"
        return real(*args, **fields)

    monkeypatch.setattr(tokenizer, tokenise, slowly)
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(httpx.post, f"{server}/v1/{path}", json=body, timeout=120)
        assert begun.wait(60)
        assert httpx.get(f"{server}/livez", timeout=30).status_code == 200
        served.set()
        assert slow.result().status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_its_place(app: FastAPI, server: str, stream: bool) -> None:
    endless = CHAT | {"n": 4, "max_tokens": 600, "stream": stream, "logit_bias": {"2": -100}}
    samples = app.state.service.engine._batch

    async def until(running: int) -> None:
        async with asyncio.timeout(60):
            while len(samples.samples) != running:  # noqa: ASYNC110  the engine's thread sets no event
                await asyncio.sleep(0.01)

    async def leave() -> None:
        async with httpx.AsyncClient(base_url=server, timeout=60) as client:
            abandoned = asyncio.create_task(client.post("/v1/chat/completions", json=endless))
            await until(4)
            running = [one.sample for one in samples.samples]
            abandoned.cancel()
            await until(0)
            assert all(sample.remaining for sample in running), "they ran to their ends"

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
        released.wait(60)

    async def leave() -> None:
        engine.submit(blocker, hold)
        await asyncio.to_thread(held.wait, 60)
        async with httpx.AsyncClient(base_url=server, timeout=60) as client:
            abandoned = asyncio.create_task(client.post(f"/v1/{path}", json=asked))
            async with asyncio.timeout(60):
                while not engine._sequences:  # noqa: ASYNC110  the engine's thread sets no event
                    await asyncio.sleep(0.01)
                job = engine._sequences[0]
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
