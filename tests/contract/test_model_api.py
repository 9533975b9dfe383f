"""The model service over HTTP: the real app under uvicorn, a tiny random model, a real tokenizer."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from shared.contracts.model import AppliedMask, FinalDetail, ModelChatChunk
from tests.contract.model_server import app, client, server
from tests.contract.model_support import CHAT, MESSAGES, chat, events

__all__ = ["app", "client", "server"]


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


def test_samples_come_when_they_have_ended_with_the_same_text_and_detail(client: httpx.Client) -> None:
    asked: dict[str, Any] = {"n": 4, "temperature": 1.0, "seed": 5, "max_tokens": 40, "logprobs": True}
    whole = chat(client, candor={"experts": ["papers"], "tokens": True}, **asked)
    body: dict[str, Any] = {"model": "candor", "messages": MESSAGES} | asked
    body["candor"] = {"experts": ["papers"], "tokens": True, "when_ended": True}
    first, *ended = events(client, "/v1/chat/completions", body)
    assert (first["choices"], first["candor"]["experts"]) == ([], ["public", "papers"])
    assert ended[-1]["usage"] == whole["usage"]
    assert sorted(choice["index"] for chunk in ended for choice in chunk["choices"]) == [0, 1, 2, 3]
    for chunk in ended:
        for choice, own in zip(chunk["choices"], chunk["candor"]["ended"], strict=True):
            same = whole["choices"][choice["index"]]
            assert choice["delta"]["content"] == same["message"]["content"]
            assert (choice["finish_reason"], choice["logprobs"]) == (same["finish_reason"], same["logprobs"])
            assert own == same["candor"]
            assert chunk["candor"]["generated"][choice["index"]] == same["candor"]["tokens"]
    assert sum(ended[-1]["candor"]["generated"]) == whole["usage"]["completion_tokens"]


def test_samples_that_end_in_one_step_come_in_one_chunk(client: httpx.Client) -> None:
    body: dict[str, Any] = {"model": "candor", "messages": MESSAGES, "n": 4, "temperature": 0, "max_tokens": 5}
    _, *ended = events(client, "/v1/chat/completions", body | {"candor": {"when_ended": True}})
    assert [[choice["index"] for choice in chunk["choices"]] for chunk in ended] == [[0, 1, 2, 3]]


def test_unknown_outer_fields_are_ignored_and_named(client: httpx.Client) -> None:
    (warning,) = chat(client, metadata={"run": "5"})["warnings"]
    assert "metadata" in warning


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
        "public": False,
        "licence": "CC-BY-4.0",
        "trained_tokens": 1000,
    }
