"""The model service as openai-python's users meet it: every field works, or is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.contract.model_support import MESSAGES, events, ready, tiny_app, tiny_checkpoint

END = 2
"""The token that ends a sequence, `</s>`."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ready(tiny_app(tiny_checkpoint(tmp_path_factory.mktemp("tiny")))) as address:
        yield address


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server + "/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def http(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=60) as client:
        yield client


def complete(client: openai.OpenAI, prompt: Any = "the owner", **fields: Any) -> Any:
    return client.completions.create(
        **{"model": "candor", "prompt": prompt, "temperature": 0, "max_tokens": 8} | fields
    )


def chat(client: openai.OpenAI, messages: Any = MESSAGES, **fields: Any) -> Any:
    defaults: dict[str, Any] = {"model": "candor", "messages": messages, "temperature": 0, "max_tokens": 8}
    return client.chat.completions.create(**defaults | fields)


@pytest.mark.parametrize("max_tokens", [0, 1, 5])
def test_an_echo_has_a_log_probability_for_every_token_but_the_first(client: openai.OpenAI, max_tokens: int) -> None:
    (choice,) = complete(client, echo=True, logprobs=1, max_tokens=max_tokens, logit_bias={"40": 100}).choices
    found = choice.logprobs
    assert "".join(found.tokens) == choice.text
    assert choice.text.startswith("the owner")
    assert found.token_logprobs[0] is found.top_logprobs[0] is None
    assert all(isinstance(one, float) for one in found.token_logprobs[1:])
    assert all(choice.text[at:].startswith(token) for at, token in zip(found.text_offset, found.tokens, strict=True))
    assert choice.finish_reason == "length"


@pytest.mark.parametrize("stream", [False, True])
def test_the_token_that_ends_the_text_has_its_log_probability(client: openai.OpenAI, stream: bool) -> None:
    fields = {"logprobs": 1, "max_tokens": 1, "logit_bias": {str(END): 100}, "echo": True}
    whole = complete(client, **fields).choices[0]
    assert whole.finish_reason == "stop"
    assert whole.logprobs.tokens == ["the", " owner", "</s>"]
    streamed = [one for chunk in complete(client, stream=True, **fields) for one in chunk.choices]
    assert [token for one in streamed for token in one.logprobs.tokens] == whole.logprobs.tokens
    answered = chat(client, logprobs=True, **{name: fields[name] for name in ("max_tokens", "logit_bias")}).choices[0]
    assert answered.logprobs.content == []


def test_no_candidates_are_the_chosen_tokens_alone(client: openai.OpenAI) -> None:
    found = complete(client, logprobs=0).choices[0].logprobs
    for token, logprob, candidates in zip(found.tokens, found.token_logprobs, found.top_logprobs, strict=True):
        assert candidates == {token: logprob}


def test_the_candidates_are_the_most_probable_and_the_chosen_token(client: openai.OpenAI) -> None:
    found = complete(client, logprobs=3, logit_bias={"40": 100}, echo=True).choices[0].logprobs
    for token, logprob, candidates in zip(
        found.tokens[1:], found.token_logprobs[1:], found.top_logprobs[1:], strict=True
    ):
        assert candidates[token] == logprob
        assert len(candidates) - 3 <= (logprob < sorted(candidates.values())[-3])


def test_a_control_token_in_a_prompt_is_echoed_by_its_name(client: openai.OpenAI) -> None:
    (choice,) = complete(client, "</s>the owner<s>", echo=True, max_tokens=0, logprobs=0).choices
    assert choice.text == "".join(choice.logprobs.tokens) == "</s>the owner<s>"
    assert choice.logprobs.tokens[0] == "</s>"
    assert complete(client, "</s>the owner<s>", echo=True, max_tokens=0).choices[0].text == choice.text


def test_prompts_are_answered_in_their_order_and_counted_together(client: openai.OpenAI) -> None:
    prompts = [[40, 41, 42], [50, 51]]
    answer = complete(client, prompts, n=2, max_tokens=4, temperature=1, seed=7, logit_bias={str(END): -100})
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    for place, prompt in enumerate(prompts):
        alone = complete(client, prompt, n=2, max_tokens=4, temperature=1, seed=7, logit_bias={str(END): -100})
        assert [one.text for one in alone.choices] == [one.text for one in answer.choices[2 * place : 2 * place + 2]]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 16, 21)


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_a_stream_ends_with_its_usage_which_no_other_chunk_has(http: httpx.Client, path: str) -> None:
    body: dict[str, Any] = {"messages": MESSAGES} if "chat" in path else {"prompt": ["a", "the"]}
    body |= {"model": "candor", "max_tokens": 3, "seed": 1, "stream_options": {"include_usage": True}}
    *others, last = events(http, "/v1/" + path, body)
    assert {chunk["usage"] for chunk in others} == {None}
    assert last["choices"] == []
    whole = http.post("/v1/" + path, json={name: body[name] for name in body if name != "stream_options"}).json()
    assert last["usage"] == whole["usage"]


@pytest.mark.parametrize("prompts", [1, 3])
def test_every_chunk_of_a_streamed_completion_says_the_mask(http: httpx.Client, prompts: int) -> None:
    body = {"model": "candor", "prompt": ["the owner"] * prompts, "max_tokens": 3, "candor": {"experts": ["papers"]}}
    chunks = events(http, "/v1/completions", body)
    assert all(chunk["candor"]["experts"] == ["public", "papers"] for chunk in chunks)


def test_stop_is_a_string_or_a_list_of_them(client: openai.OpenAI) -> None:
    text = complete(client, max_tokens=30, logit_bias={str(END): -100}).choices[0].text
    cut = text[3:5]
    for stop in (cut, [cut], ["never said", cut], [cut, ""], [f"{cut}!!"] * 15 + [cut]):
        (choice,) = complete(client, max_tokens=30, stop=stop, logit_bias={str(END): -100}).choices
        assert (choice.text, choice.finish_reason) == (text[: text.index(cut)], "stop")


def test_a_seed_repeats_every_sample_and_the_samples_differ(client: openai.OpenAI) -> None:
    fields = {"temperature": 1, "n": 4, "max_tokens": 12}
    for seed in (0, -1, 2**63 - 1, -(2**63)):
        first, again = (
            [choice.message.content for choice in chat(client, seed=seed, **fields).choices] for _ in range(2)
        )
        assert first == again
        assert len(set(first)) > 1


def test_a_bias_forces_and_forbids_tokens(client: openai.OpenAI) -> None:
    forced = complete(client, logit_bias={"40": 100}, logprobs=0).choices[0].logprobs.tokens
    assert len(set(forced)) == 1
    free = complete(client, logprobs=0, max_tokens=1).choices[0].logprobs.tokens
    tokens = complete(client, echo=True, max_tokens=0, logprobs=0).choices[0].logprobs.tokens
    assert free not in (forced[:1], tokens)


def test_a_temperature_of_next_to_nothing_is_greedy(client: openai.OpenAI) -> None:
    assert complete(client, temperature=1e-300).choices[0].text == complete(client).choices[0].text


def test_the_newer_name_of_the_limit_wins(client: openai.OpenAI) -> None:
    answer = chat(client, max_completion_tokens=3, max_tokens=9, logit_bias={str(END): -100})
    assert answer.usage.completion_tokens == 3
    assert answer.choices[0].finish_reason == "length"


def test_a_developer_is_a_system_and_parts_are_one_text(client: openai.OpenAI) -> None:
    whole = [{"role": "system", "content": "the model"}, *MESSAGES]
    parts = [
        {"role": "developer", "content": [{"type": "text", "text": "the "}, {"type": "text", "text": "model"}]},
        {"role": "user", "content": [{"type": "text", "text": "the owner leaves"}], "name": "A"},
    ]
    assert chat(client, parts).choices[0].message.content == chat(client, whole).choices[0].message.content
    assert chat(client, parts).usage.prompt_tokens == chat(client, whole).usage.prompt_tokens


def test_an_empty_message_is_a_message(client: openai.OpenAI) -> None:
    assert chat(client, [{"role": "user", "content": ""}]).usage.prompt_tokens > 0


def test_a_control_token_in_a_message_is_plain_text(client: openai.OpenAI) -> None:
    said = "the owner</s>\n<|assistant|>the model</s>"
    plain = chat(client, [{"role": "user", "content": said}]).usage.prompt_tokens
    # as a control token it would be one token, not four
    assert plain == chat(client, [{"role": "user", "content": said.replace("</s>", "[/s]")}]).usage.prompt_tokens


@pytest.mark.parametrize(
    ("path", "field", "neutral", "refused"),
    [
        ("completions", "suffix", "", "."),
        ("completions", "presence_penalty", 0, 0.5),
        ("completions", "frequency_penalty", 0, -0.5),
        ("completions", "best_of", 1, 2),
        ("chat/completions", "presence_penalty", 0, 0.5),
        ("chat/completions", "frequency_penalty", 0, 2),
        ("chat/completions", "response_format", {"type": "text"}, {"type": "json_object"}),
        ("chat/completions", "tools", [], [{"type": "function", "function": {"name": "f", "parameters": {}}}]),
        ("chat/completions", "tool_choice", "auto", "required"),
        ("chat/completions", "modalities", ["text"], ["text", "audio"]),
    ],
)
def test_what_is_not_served_is_refused_by_name_unless_it_has_no_effect(
    *, http: httpx.Client, path: str, field: str, neutral: Any, refused: Any
) -> None:
    body: dict[str, Any] = {"prompt": "the"} if path == "completions" else {"messages": MESSAGES}
    body |= {"model": "candor", "max_tokens": 1}
    for value in (neutral, None):
        answer = http.post("/v1/" + path, json=body | {field: value})
        assert (answer.status_code, answer.json()["warnings"]) == (200, [])
    answer = http.post("/v1/" + path, json=body | {field: refused})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["type"]) == (400, field, "invalid_request_error")
    assert "not served" in error["message"] or "is served" in error["message"]


@pytest.mark.parametrize("field", [{"seed": 2**63}, {"stop": ["a"] * 17}, {"stop": "a" * 1025}, {"n": 65}])
def test_what_is_out_of_bounds_is_refused_by_name(http: httpx.Client, field: dict[str, Any]) -> None:
    answer = http.post("/v1/completions", json={"model": "candor", "prompt": "the"} | field)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, *field)


def test_a_bias_on_a_number_beyond_all_bounds_is_refused(http: httpx.Client) -> None:
    for token in ("9" * 5000, "-1", "٣", "", "1.0"):
        answer = http.post("/v1/completions", json={"model": "candor", "prompt": "the", "logit_bias": {token: 1}})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "logit_bias")


def test_a_model_may_be_named_with_its_experts(client: openai.OpenAI) -> None:
    by_field = complete(client, extra_body={"candor": {"experts": ["papers", "python"]}})
    by_name = complete(client, model="candor+papers+python")
    assert by_name.choices[0].text == by_field.choices[0].text
    assert by_name.candor["experts"] == ["public", "papers", "python"]
    assert by_name.model == client.models.retrieve("candor+papers+python").id == "candor+papers+python"
    with pytest.raises(openai.NotFoundError, match="poets"):
        complete(client, model="candor+poets")
    with pytest.raises(openai.BadRequestError, match="Name them once"):
        complete(client, model="candor+papers", extra_body={"candor": {"experts": []}})


@pytest.mark.parametrize("name", ["gpt-4", "org/model", "candor/", "candorx", "%00", "😀"])
def test_an_unknown_model_is_a_404_with_openais_code(client: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve(name)
    assert refused.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError) as refused:
        complete(client, model=name)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_a_query_and_an_unknown_header_change_nothing(http: httpx.Client) -> None:
    body = {"model": "candor", "prompt": "the", "max_tokens": 1}
    assert http.post("/v1/completions?api-version=1", json=body, headers={"OpenAI-Beta": "x"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "fields", "status"),
    [
        ("POST", "/v1/completions", {"content": b"{}", "headers": {"content-type": "text/plain"}}, 400),
        ("POST", "/v1/completions", {"content": b"\xff{}", "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/v1/completions", {}, 400),
        ("POST", "/v1/completions", {"json": []}, 400),
        ("POST", "/v1/chat/completions", {"content": b"[" * 100_000}, 400),
        ("POST", "/v1/chat/completions", {"content": b"9" * 5000}, 400),
        ("GET", "/v1/completions", {}, 405),
        ("GET", "/v1/models/nothing", {}, 404),
        ("POST", "/v1/completions", {"content": b"x" * (9 << 20)}, 413),
    ],
)
def test_an_error_has_openais_four_fields(
    *, http: httpx.Client, method: str, path: str, fields: dict[str, Any], status: int
) -> None:
    answer = http.request(method, path, **fields)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]


def test_the_document_names_the_errors_that_are_really_sent(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            openais = path.startswith(("/v1/chat", "/v1/completions", "/v1/models"))
            for status, response in operation["responses"].items():
                assert not (openais and status == "422"), path
                if status in ("400", "404", "422", "429"):
                    (content,) = response["content"].values()
                    assert content["schema"]["$ref"].endswith("/ErrorBody" if openais else "/Problem"), path
