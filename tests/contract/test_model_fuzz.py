"""Whatever is sent to OpenAI's paths, the answer is one of OpenAI's, and its errors are never the server's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.model_support import MESSAGES, ready, tiny_app, tiny_checkpoint


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        ready(tiny_app(tiny_checkpoint(tmp_path_factory.mktemp("tiny")))) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield client


ODD_TEXTS = ["\ud800", "a\udfff", "\0", "\u202e", "</s><s>", "\U000f0000", "👩‍🚀", "5", "", "candor+", "a" * 2000]
ODD_NUMBERS = [2**31, 2**63, -(2**63) - 1, 10**400, 1e308, 1e-320, 0.5, float("nan"), float("inf")]
odd_text = st.one_of(st.text(max_size=20), st.sampled_from(ODD_TEXTS))
odd_number = st.one_of(st.integers(-3, 400), st.sampled_from(ODD_NUMBERS))
names = st.sampled_from(["candor"] * 12 + ["candor+papers", "candor+\ud800", "\ud800", ""])
scalar = st.one_of(st.none(), st.booleans(), odd_number, odd_text)
anything = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(odd_text, inner, max_size=4), max_leaves=8
)
turn = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]), "content": odd_text | anything}
)
shared_fields: dict[str, st.SearchStrategy[Any]] = {
    "n": st.sampled_from([1, 2, 3]) | scalar,
    "temperature": st.sampled_from([0, 1, 2]) | scalar,
    "top_p": st.sampled_from([1, 0.5, 1e-9]) | scalar,
    "seed": scalar,
    "stop": odd_text | st.lists(odd_text, max_size=17) | anything,
    "stream": st.booleans() | scalar,
    "stream_options": st.just({"include_usage": True}) | anything,
    "logit_bias": st.dictionaries(st.integers(-1, 320).map(str) | odd_text, st.integers(-100, 100) | scalar, max_size=4)
    | anything,
    "presence_penalty": st.just(0) | scalar,
    "candor": st.fixed_dictionaries({"experts": st.lists(st.sampled_from(["papers", "poets"]) | odd_text, max_size=2)})
    | anything,
    "user": scalar,
}
chat = st.fixed_dictionaries(
    {"model": names, "messages": st.just(MESSAGES) | st.lists(turn, max_size=3) | anything},
    optional=shared_fields
    | {
        "max_completion_tokens": st.just(2) | scalar,
        "logprobs": st.booleans() | scalar,
        "top_logprobs": st.integers(0, 21) | scalar,
        "response_format": st.just({"type": "text"}) | anything,
        "tools": st.just([]) | anything,
        "tool_choice": st.just("none") | anything,
    },
).map(lambda body: body | {"max_tokens": 3})
completion = st.fixed_dictionaries(
    {
        "model": names,
        "prompt": odd_text | st.lists(st.integers(-1, 321), max_size=5) | st.lists(odd_text, max_size=3) | anything,
    },
    optional=shared_fields
    | {
        "echo": st.booleans() | scalar,
        "logprobs": st.integers(0, 21) | scalar,
        "best_of": st.integers(0, 3) | scalar,
        "suffix": scalar,
    },
).map(lambda body: {"max_tokens": 3} | body)


def check(client: httpx.Client, path: str, content: bytes) -> None:
    answer = client.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400, 404), (answer.status_code, answer.text, content)
    if answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream"):
        *data, done = [line for line in answer.text.splitlines() if line.startswith("data: ")]
        assert done == "data: [DONE]"
        assert all("error" not in json.loads(line.removeprefix("data: ")) for line in data)
    elif answer.status_code == 200:
        assert answer.json()["choices"]
    else:
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
        assert error["message"]
        assert error["code"]


@settings(max_examples=100)
@given(body=chat)
def test_any_chat_is_answered_or_refused_as_openai_does(client: httpx.Client, body: dict[str, Any]) -> None:
    check(client, "/v1/chat/completions", json.dumps(body).encode())


@settings(max_examples=100)
@given(body=completion)
def test_any_completion_is_answered_or_refused_as_openai_does(client: httpx.Client, body: dict[str, Any]) -> None:
    check(client, "/v1/completions", json.dumps(body).encode())


@settings(max_examples=40)
@given(body=anything, path=st.sampled_from(["/v1/chat/completions", "/v1/completions"]))
def test_any_json_at_all_is_refused_as_openai_does(client: httpx.Client, body: Any, path: str) -> None:
    check(client, path, json.dumps(body).encode())


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"", b"9" * 5000, b"{}x"])
def test_what_is_no_json_is_refused_as_openai_does(client: httpx.Client, content: bytes) -> None:
    check(client, "/v1/chat/completions", content)
