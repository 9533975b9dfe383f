"""Candor's own fields beside OpenAI's are refused, also misspelt ones; what is OpenAI's or another server's is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.contracts.candor import CandorOptions, ChatRequest, CompletionRequest
from shared.contracts.model import ExpertMask, ModelChatRequest, ModelCompletionRequest

CHAT: dict[str, Any] = {"model": "candor", "messages": [{"role": "user", "content": "a"}]}
TEXT: dict[str, Any] = {"model": "candor", "prompt": "a"}
REQUESTS: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (ChatRequest, CHAT),
    (ModelChatRequest, CHAT),
    (CompletionRequest, TEXT),
    (ModelCompletionRequest, TEXT),
]
CONSENT = ["candor", "owners", "experts", "exclude"]
LETTERS = st.sampled_from("abcdefghijklmnopqrstuvwxyz")


def refused(request: type[BaseModel], body: dict[str, Any], name: str) -> str:
    """What a request with this field is told, and that it is told so of this field."""
    with pytest.raises(ValidationError) as refusal:
        request.model_validate(body | {name: ["papers"]})
    (error,) = refusal.value.errors()
    assert error["loc"] == (name,)
    return error["msg"]


@pytest.mark.parametrize(("request_type", "body"), REQUESTS)
@pytest.mark.parametrize(
    "name",
    [
        *("experts", "owners", "exclude", "include", "retrieval", "sampling", "trace", "tracing"),
        *("memfree", "mem_free"),
        *("Owners", "owner", "expert", "Candor", "candour", "CANDOR", "candor.owners", "exclude-owners", "expertsOff"),
        *("extra_body", "vllm_xargs"),
    ],
)
def test_a_field_of_candor_s_beside_openai_s_is_refused_by_name(
    request_type: type[BaseModel], body: dict[str, Any], name: str
) -> None:
    assert "`candor`" in refused(request_type, body, name)


@pytest.mark.parametrize(
    "place", [*CandorOptions.model_fields, "owners.exclude", "retrieval.k", "sampling.samples", "trace.corpora"]
)
def test_whatever_candor_holds_is_refused_with_its_place(place: str) -> None:
    assert refused(ChatRequest, CHAT, place.rsplit(".", maxsplit=1)[-1]).endswith(f"as candor.{place}")


def test_a_name_that_two_stages_have_is_refused_with_both_places() -> None:
    assert "candor.retrieval.enabled or candor.trace.enabled" in refused(ChatRequest, CHAT, "enabled")


@pytest.mark.parametrize("name", [*ExpertMask.model_fields])
def test_whatever_a_mask_holds_is_refused_with_its_place(name: str) -> None:
    assert f"candor.{name}" in refused(ModelChatRequest, CHAT, name)
    assert f"candor.{name}" in refused(ModelCompletionRequest, TEXT, name)


@given(name=st.sampled_from(CONSENT), place=st.integers(0, 7), letter=LETTERS, slip=st.integers(0, 3))
def test_one_slip_in_a_name_of_consent_does_not_let_it_pass(name: str, place: int, letter: str, slip: int) -> None:
    place = min(place, len(name) - 1)
    before, here, after = name[:place], name[place], name[place + 1 :]
    swapped = before + after[:1] + here + after[1:]
    written = [before + after, before + letter + here + after, before + letter + after, swapped][slip]
    for request, body in REQUESTS:
        if written not in request.model_fields:
            refused(request, body, written)


@pytest.mark.parametrize(("request_type", "body"), REQUESTS)
@pytest.mark.parametrize(
    "name",
    [
        *("store", "metadata", "reasoning_effort", "service_tier", "parallel_tool_calls", "prediction", "audio"),
        *("web_search_options", "verbosity", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
        *("top_k", "min_p", "repetition_penalty", "stop_token_ids", "ignore_eos", "min_tokens", "prompt_logprobs"),
        *("include_stop_str_in_output", "include_reasoning", "chat_template_kwargs", "add_generation_prompt", "x" * 99),
        *("documents", "return_routed_experts"),
    ],
)
def test_what_openai_or_another_server_has_is_kept_to_be_warned_of(
    request_type: type[BaseModel], body: dict[str, Any], name: str
) -> None:
    assert [*(request_type.model_validate(body | {name: 1}).model_extra or {})] == [name]


@pytest.mark.parametrize("name", ["excludeowners", "expertsoff", "own_ers", "exclusion", "candorOwners", "ab_" * 999])
def test_words_that_run_on_and_names_without_end_are_refused(name: str) -> None:
    for request_type, body in REQUESTS:
        with pytest.raises(ValidationError):
            request_type.model_validate(body | {name: 1})


def test_null_is_no_field() -> None:
    assert ChatRequest.model_validate(CHAT | {"owners": None}).unknown() == []


@pytest.mark.parametrize(("request_type", "body"), REQUESTS[:2])
@pytest.mark.parametrize("name", ["candor", "candour", "owners", "exclude_owners", "expertsOff"])
def test_a_field_of_consent_in_a_part_of_a_request_is_refused_with_its_place(
    request_type: type[BaseModel], body: dict[str, Any], name: str
) -> None:
    (message,) = body["messages"]
    parts: list[tuple[dict[str, Any], tuple[str | int, ...]]] = [
        ({"messages": [message | {name: 1}]}, ("messages", 0)),
        ({"messages": [message | {"content": [{"type": "text", "text": "a", name: 1}]}]}, ("messages", 0, "content")),
        ({"stream": True, "stream_options": {name: 1}}, ("stream_options",)),
    ]
    for part, place in parts:
        with pytest.raises(ValidationError) as refusal:
            request_type.model_validate(body | part)
        assert any(error["loc"][: len(place)] == place and name in error["loc"] for error in refusal.value.errors())


def test_what_others_put_into_a_part_is_ignored() -> None:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "a",
        "name": "b",
        "annotations": [],
        "audio": None,
        "tool_calls": [],
    }
    ChatRequest.model_validate(CHAT | {"messages": [message, *CHAT["messages"]], "stream_options": {"x": 1}})
