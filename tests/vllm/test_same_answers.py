"""The model service answers the same on both engines: the same requests to both, on the same checkpoint in fp32."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.model.settings import ModelSettings
from tests.vllm.support import serving

MASKS = [[], ["papers"], ["papers", "python"], ["papers", "medicine", "python"]]
PROMPTS = ["the owner", "a harbour in the morning", "leaves and the model forgets, a lamp"]
CLOSE = 5e-4
"""Nats: two implementations add up the same numbers in another order, by the processor. The farthest apart were 1.4e-4
with AVX-512."""


@pytest.fixture(scope="module")
def engines(vllm_checkpoint: Path, host: Path) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """The service on transformers, and on vLLM."""
    own = ModelSettings(directory=vllm_checkpoint, dtype="float32", threads=1)
    other = ModelSettings(directory=vllm_checkpoint, engine="vllm", vllm_address=f"unix:{host}")
    with serving(own) as transformers, serving(other) as vllm:
        yield transformers, vllm


def both(engines: tuple[httpx.Client, httpx.Client], path: str, **body: Any) -> tuple[Any, Any]:
    """The answers of both engines."""
    answers = [engine.post(path, json={"model": "candor", **body}) for engine in engines]
    assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
    return answers[0].json(), answers[1].json()


def same(one: Any, other: Any, where: str = "") -> None:
    """Equal in everything but rounding; what names a single answer (its id, its time) aside."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one.keys() - {"id", "created"}:
            same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            same(left, right, f"{where}.{place}")
    elif isinstance(one, float) or isinstance(other, float):
        assert one == pytest.approx(other, abs=CLOSE, rel=0), where
    else:
        assert one == other, where


@pytest.mark.parametrize("experts", MASKS)
def test_a_chat_answer_with_all_its_detail(engines: tuple[httpx.Client, httpx.Client], experts: list[str]) -> None:
    body = {
        "messages": [{"role": "user", "content": "the owner leaves"}],
        "temperature": 0,
        "max_tokens": 24,
        "logprobs": True,
        "top_logprobs": 3,
        "n": 2,
        "candor": {"experts": experts, "tokens": True},
    }
    same(*both(engines, "/v1/chat/completions", **body))


@pytest.mark.parametrize(("experts", "prompt"), list(itertools.product(MASKS, PROMPTS)))
def test_an_echoed_completion_with_its_log_probabilities(
    engines: tuple[httpx.Client, httpx.Client], experts: list[str], prompt: str
) -> None:
    body = {"prompt": prompt, "echo": True, "logprobs": 2, "temperature": 0, "max_tokens": 16}
    same(*both(engines, "/v1/completions", **body, candor={"experts": experts, "tokens": True}))


def test_a_stop_string_cuts_at_the_same_place(engines: tuple[httpx.Client, httpx.Client]) -> None:
    body = {"prompt": "the owner", "temperature": 0, "max_tokens": 30, "logprobs": 0}
    whole = both(engines, "/v1/completions", **body)[0]["choices"][0]["text"]
    for stop in (whole[3:5], whole[-4:], [whole[6:8], whole[2:4]]):
        one, other = both(engines, "/v1/completions", **body, stop=stop)
        assert one["choices"][0]["finish_reason"] == "stop"
        same(one, other)


def test_the_token_that_ends_an_answer(engines: tuple[httpx.Client, httpx.Client]) -> None:
    body = {"prompt": "the owner", "temperature": 0, "max_tokens": 8, "logit_bias": {"2": 100}}
    one, other = both(engines, "/v1/completions", **body, candor={"tokens": True})
    assert one["choices"][0]["candor"]["tokens"] == 1
    same(one, other)


def test_a_biased_token_with_the_log_probability_it_has_without_the_bias(
    engines: tuple[httpx.Client, httpx.Client],
) -> None:
    body = {"prompt": [5, 6, 7], "temperature": 0, "max_tokens": 4, "logprobs": 1, "logit_bias": {"99": 100}}
    one, other = both(engines, "/v1/completions", **body)
    assert one["choices"][0]["logprobs"]["token_logprobs"][0] < -1
    same(one, other)


@pytest.mark.parametrize("experts", MASKS)
def test_scores(engines: tuple[httpx.Client, httpx.Client], experts: list[str]) -> None:
    same(*both(engines, "/v1/score", texts=PROMPTS, experts=experts))
    same(*both(engines, "/v1/score", tokens=[[5], [5, 6]], experts=experts))
    same(*both(engines, "/v1/score", tokens=[list(range(3, 200))], experts=experts))


@pytest.mark.parametrize("experts", MASKS)
def test_the_routing_of_every_token_in_every_layer(
    engines: tuple[httpx.Client, httpx.Client], experts: list[str]
) -> None:
    for text in (*PROMPTS, "the model forgets " * 20):
        same(*both(engines, "/v1/routing", text=text, experts=experts))


def test_what_is_served(engines: tuple[httpx.Client, httpx.Client]) -> None:
    for path in ("/v1/models", "/v1/experts"):
        one, other = (engine.get(path).json() for engine in engines)
        same(one, other)
