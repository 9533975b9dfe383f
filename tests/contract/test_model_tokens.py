"""Tokenisation over HTTP, at vLLM's paths: what the model reads, and the text of its tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from shared.clients.model import ModelClient
from shared.contracts.model import DetokenizeRequest, TokenizeRequest
from tests.contract.gateway_support import gateway_before
from tests.contract.model_support import MESSAGES, ready, tiny_app, tiny_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def server(checkpoint: Path) -> Iterator[str]:
    with ready(tiny_app(checkpoint)) as address:
        yield address


@pytest.fixture(scope="module")
def front(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A gateway before it."""
    with gateway_before(server, tmp_path_factory.mktemp("gateway")) as client:
        yield client


@pytest.fixture(params=["model", "gateway"])
def client(request: pytest.FixtureRequest, server: str, front: httpx.Client) -> Iterator[httpx.Client]:
    """Of the service itself, and of the gateway, which answers alike."""
    with httpx.Client(base_url=server, timeout=60) as model:
        yield model if request.param == "model" else front


def test_the_tokens_of_a_prompt_are_those_of_the_checkpoints_tokenizer(client: httpx.Client, checkpoint: Path) -> None:
    own = AutoTokenizer.from_pretrained(checkpoint)
    text = "the owner leaves</s> naïve ☕"
    answer = client.post("/tokenize", json={"model": "candor", "prompt": text, "return_token_strs": True}).json()
    expected = own.encode(text)
    assert answer == {
        "count": len(expected),
        "max_model_len": 640,
        "tokens": expected,
        "token_strs": own.convert_ids_to_tokens(expected),
    }
    assert client.post("/detokenize", json={"model": "candor", "tokens": expected}).json() == {"prompt": text}


def test_the_model_need_not_be_named(client: httpx.Client) -> None:
    answer = client.post("/tokenize", json={"prompt": "the owner"}).json()
    assert (answer["count"], answer["token_strs"]) == (len(answer["tokens"]), None)
    assert client.post("/detokenize", json={"tokens": answer["tokens"]}).json() == {"prompt": "the owner"}
    assert client.post("/detokenize", json={"tokens": []}).json() == {"prompt": ""}
    assert client.post("/tokenize", json={"prompt": ""}).json()["tokens"] == []


def test_the_tokens_of_messages_are_those_an_answer_is_counted_with(client: httpx.Client, server: str) -> None:
    tokens = client.post("/tokenize", json={"model": "candor", "messages": MESSAGES}).json()["tokens"]
    body = {"model": "candor", "messages": MESSAGES, "max_tokens": 8, "temperature": 0}
    answered = httpx.post(server + "/v1/chat/completions", json=body, timeout=60).json()
    continued = httpx.post(
        server + "/v1/completions", json={"model": "candor", "prompt": tokens, "max_tokens": 8, "temperature": 0}
    ).json()
    assert answered["usage"]["prompt_tokens"] == len(tokens)
    assert answered["choices"][0]["message"]["content"] == continued["choices"][0]["text"]


def test_messages_end_where_the_request_says(client: httpx.Client) -> None:
    begun = [*MESSAGES, {"role": "assistant", "content": "the model"}]

    def text(**fields: Any) -> str:
        tokens = client.post("/tokenize", json={"messages": begun} | fields).json()["tokens"]
        return str(client.post("/detokenize", json={"tokens": tokens}).json()["prompt"])

    assert text().endswith("<|assistant|>the model</s>\n<|assistant|>")
    assert text(add_generation_prompt=False).endswith("<|assistant|>the model</s>\n")
    assert text(continue_final_message=True).endswith("<|assistant|>the model")
    assert text(continue_final_message=True, add_generation_prompt=False).endswith("<|assistant|>the model")


def test_the_special_tokens_and_the_template_are_told(client: httpx.Client, checkpoint: Path) -> None:
    info = client.get("/tokenizer_info").json()
    assert (info["bos_token"], info["eos_token"], info["pad_token"]) == ("<s>", "</s>", "<pad>")
    assert info["chat_template"] == AutoTokenizer.from_pretrained(checkpoint).chat_template


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("tokenize", {}, 422, "either"),
        ("tokenize", {"prompt": "a", "messages": MESSAGES}, 422, "either"),
        ("tokenize", {"prompt": 5}, 422, "prompt"),
        ("tokenize", {"messages": []}, 422, "messages"),
        ("tokenize", {"messages": MESSAGES, "add_special_tokens": True}, 422, "add_special_tokens"),
        ("tokenize", {"messages": MESSAGES, "continue_final_message": True}, 422, "assistant"),
        (
            "tokenize",
            {"messages": MESSAGES, "continue_final_message": True, "add_generation_prompt": True},
            422,
            "either",
        ),
        ("tokenize", {"prompt": "a", "model": "gpt"}, 404, "gpt"),
        ("detokenize", {"tokens": [320]}, 422, "320"),
        ("detokenize", {"tokens": [-1]}, 422, "-1"),
        ("detokenize", {"tokens": [2**63]}, 422, "tokens"),
        ("detokenize", {"tokens": "abc"}, 422, "tokens"),
        ("detokenize", {"tokens": [5], "model": "gpt"}, 404, "gpt"),
    ],
)
def test_what_cannot_be_tokenised_is_refused(
    *, client: httpx.Client, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    answer = client.post("/" + path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"]


@settings(max_examples=60)
@given(text=st.text())
def test_text_comes_back_from_its_tokens(server: str, text: str) -> None:
    async def there_and_back() -> str:
        client = ModelClient(server)
        try:
            found = await client.tokenize(TokenizeRequest(prompt=text))
            return (await client.detokenize(DetokenizeRequest(tokens=found.tokens))).prompt
        finally:
            await client.close()

    assert asyncio.run(there_and_back()) == text
