"""Completions of a prompt by the model service, whole and streamed, and their log-probabilities."""

from __future__ import annotations

import httpx

from tests.contract.model_server import app, client, server
from tests.contract.model_support import complete, events

__all__ = ["app", "client", "server"]


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
