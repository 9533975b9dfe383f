"""Thinking, verifiers and the early stop, through the real gateway and the real model service on a tiny model."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway.pipeline.thinking import ThinkingFamily
from gateway.settings import GatewaySettings
from tests.contract.gateway_support import closed_port, gateway
from tests.contract.model_support import ready, tiny_app, tiny_checkpoint

QUESTION = [{"role": "user", "content": "who leaves"}]
ALONE = {"retrieval": False, "trace": False}
VARIED = {"temperature": 1.0, "seed": 3, "stop": ["e", "t"]}
"""Samples that end at different times."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return tiny_app(tiny_checkpoint(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def model(app: FastAPI) -> Iterator[str]:
    with ready(app) as address:
        yield address


def client(model: str, folder: Path, **settings: Any) -> Iterator[httpx.Client]:
    down = closed_port()
    addresses: dict[str, Any] = {"model_url": model, "retrieval_url": down, "tracing_url": down, "evaluation_url": down}
    configured = GatewaySettings(**addresses, **settings, database_url=f"sqlite:///{folder / 'gateway.db'}")
    with gateway(configured) as address, httpx.Client(base_url=address, timeout=120) as http:
        yield http


@pytest.fixture(scope="module")
def plain(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    yield from client(model, tmp_path_factory.mktemp("plain"), verifier_hosts=[closed_port().removeprefix("http://")])


@pytest.fixture(scope="module")
def thinker(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A gateway whose settings say that the model thinks; its thinking ends at a letter, so that it does end."""
    family = ThinkingFamily(name=".", opening="<think>\n", closing="a")
    yield from client(model, tmp_path_factory.mktemp("thinker"), thinking=[family])


def ask(http: httpx.Client, sampling: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {"model": "candor", "messages": QUESTION, "candor": {**ALONE, "sampling": sampling}, **fields}
    response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def refused(http: httpx.Client, sampling: dict[str, Any], **candor: Any) -> tuple[int, str | None, str]:
    body = {"model": "candor", "messages": QUESTION, "candor": {**ALONE, "sampling": sampling, **candor}}
    response = http.post("/v1/chat/completions", json=body)
    error = response.json()["error"]
    return response.status_code, error["param"], error["message"]


def regex(pattern: str) -> dict[str, Any]:
    return {"kind": "regex", "pattern": pattern}


def test_a_model_that_does_not_think_refuses_to(plain: httpx.Client) -> None:
    status, field, message = refused(plain, {"mode": "thinking"})
    assert (status, field) == (400, "candor.sampling.mode")
    assert "CANDOR_GATEWAY_THINKING" in message


@pytest.mark.parametrize("budget", [8, 60, 100])
def test_thinking_is_beside_the_answer_and_within_the_budget(thinker: httpx.Client, budget: int) -> None:
    answer = ask(thinker, {"mode": "thinking", "samples": 4, "budget": budget}, temperature=1.0, seed=1)
    report = answer["candor"]
    for sample in report["samples"]:
        assert sample["tokens"] <= budget
        assert sample["reasoning"] is None or sample["reasoning"] not in sample["text"]
    assert any(sample["reasoning"] for sample in report["samples"])
    message, winner = answer["choices"][0]["message"], report["samples"][report["winner"]]
    assert (message["content"], message["reasoning_content"]) == (winner["text"], winner["reasoning"])
    assert answer["usage"]["completion_tokens"] == sum(sample["tokens"] for sample in report["samples"])


@pytest.mark.parametrize("seed", range(6))
def test_thinking_is_streamed_as_it_is_answered(thinker: httpx.Client, seed: int) -> None:
    sampling = {"mode": "thinking", "samples": 1, "budget": 60}
    whole = ask(thinker, sampling, temperature=1.0, seed=seed)["choices"][0]["message"]
    body: dict[str, Any] = {"model": "candor", "messages": QUESTION, "candor": {**ALONE, "sampling": sampling}}
    body |= {"stream": True, "temperature": 1.0, "seed": seed}
    said = {"content": "", "reasoning_content": ""}
    with thinker.stream("POST", "/v1/chat/completions", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line.removeprefix("data: "))["choices"]:
                    for name in said:
                        said[name] += choice["delta"].get(name) or ""
    assert said["reasoning_content"] == (whole["reasoning_content"] or "")
    assert said["content"] == whole["content"]


def streamed(http: httpx.Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    with http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        assert response.status_code == 200
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def test_every_sample_that_is_cut_off_gets_its_final_answer_though_the_models_queue_is_short(
    plain: httpx.Client,
) -> None:
    answer = ask(plain, {"samples": 12, "budget": 56}, temperature=1.0, seed=5, logit_bias={"0": -100})
    cut = [sample for sample in answer["candor"]["samples"] if sample["tokens"] > 32]
    assert len(cut) > 4
    assert all("Final answer:" in sample["text"] for sample in cut)
    assert not any("could not be forced" in warning for warning in answer["warnings"])


def test_without_room_for_a_forced_answer_what_was_said_stands_and_it_is_said_so(
    model: str, plain: httpx.Client
) -> None:
    room = httpx.get(model + "/v1/models").json()["data"][0]["max_model_len"]
    prompt = ask(plain, {"samples": 1, "budget": 1})["usage"]["prompt_tokens"]
    # one letter for ever, which is no answer
    body: dict[str, Any] = {"model": "candor", "messages": QUESTION, "logit_bias": {"40": 100}}
    body["candor"] = {**ALONE, "sampling": {"samples": 1, "budget": room - prompt}}
    whole = plain.post("/v1/chat/completions", json=body).json()
    assert any("could not be forced" in warning for warning in whole["candor"]["warnings"])
    chunks = streamed(plain, body)
    assert "error" not in chunks[-1]
    said = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert said == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["candor"]["warnings"] == whole["candor"]["warnings"]


def test_not_thinking_begins_after_the_thinking(thinker: httpx.Client) -> None:
    answer = ask(thinker, {"mode": "no_thinking", "samples": 2, "budget": 20})
    assert answer["choices"][0]["message"]["reasoning_content"] is None


def test_what_a_verifier_says_is_in_the_report_under_any_rule(plain: httpx.Client) -> None:
    sampling = {"samples": 4, "budget": 30, "aggregate": "majority", "verifier": regex("s")}
    report = ask(plain, sampling, **VARIED)["candor"]
    assert [sample["verified"] for sample in report["samples"]] == [
        "s" in sample["text"] for sample in report["samples"]
    ]
    assert report["timings"]["verify"] > 0


def test_a_verified_sample_wins_and_without_one_the_vote_does_and_says_so(plain: httpx.Client) -> None:
    sampling = {"samples": 4, "budget": 30, "mode": "plain"}
    voted = ask(plain, sampling, **VARIED)["candor"]
    loser = next(n for n, sample in enumerate(voted["samples"]) if n != voted["winner"] and sample["text"])
    pattern = re.escape(voted["samples"][loser]["text"])
    chosen = ask(plain, {**sampling, "aggregate": "verifier", "verifier": regex(rf"\A{pattern}\Z")}, **VARIED)["candor"]
    assert chosen["samples"][chosen["winner"]]["verified"] is True
    none = ask(plain, {**sampling, "aggregate": "verifier", "verifier": regex("no such words")}, **VARIED)["candor"]
    assert none["winner"] == voted["winner"]
    assert [sample["verified"] for sample in none["samples"]] == [False] * 4
    assert any("No sample was verified" in warning for warning in none["warnings"])
    assert not any("No sample was verified" in warning for warning in chosen["warnings"])


def test_the_first_verified_sample_stops_the_others(plain: httpx.Client, app: FastAPI) -> None:
    sampling = {"samples": 8, "budget": 300, "mode": "plain", "aggregate": "verifier", "verifier": regex("(?s).")}
    whole = ask(plain, sampling, temperature=1.0, seed=3, stop=["e"])
    answer = ask(plain, {**sampling, "early_stop": True}, temperature=1.0, seed=3, stop=["e"])
    report = answer["candor"]
    aborted = [sample for sample in report["samples"] if sample["finish_reason"] == "aborted"]
    assert aborted
    assert all(sample["text"] == "" and sample["verified"] is None for sample in aborted)
    assert report["samples"][report["winner"]]["verified"]
    # the budget, less what they had generated
    assert report["tokens_saved"] == sum(300 - sample["tokens"] for sample in aborted)
    used, all_of_it = (one["usage"]["completion_tokens"] for one in (answer, whole))
    assert used == sum(sample["tokens"] for sample in report["samples"])
    assert used < all_of_it <= used + report["tokens_saved"]
    texts = [sample["text"] for sample in whole["candor"]["samples"]]
    assert all(sample["text"] in texts for sample in report["samples"] if sample not in aborted)
    assert answer["usage"]["prompt_tokens"] == whole["usage"]["prompt_tokens"]
    idle(app)


@pytest.mark.parametrize("rule", ["majority", "confidence", "first"])
def test_a_decided_vote_stops_the_others_and_has_the_same_answer(plain: httpx.Client, rule: str) -> None:
    # greedy: all say the same, and with a batch of four the last of ten have not begun when the vote is decided
    sampling = {"samples": 10, "budget": 40, "aggregate": rule}
    whole, stopped = (ask(plain, {**sampling, "early_stop": early}, temperature=0) for early in (False, True))
    assert whole["choices"][0]["message"]["content"] == stopped["choices"][0]["message"]["content"]
    assert (whole["candor"]["tokens_saved"], stopped["candor"]["tokens_saved"] > 0) == (0, True)
    assert len(stopped["candor"]["samples"]) == 10


def test_samples_that_end_with_the_last_that_was_needed_are_not_called_aborted(plain: httpx.Client) -> None:
    report = ask(plain, {"samples": 4, "budget": 12, "aggregate": "majority", "early_stop": True}, temperature=0)[
        "candor"
    ]
    assert [sample["tokens"] for sample in report["samples"]] == [12] * 4
    assert [sample["finish_reason"] for sample in report["samples"]] == ["length"] * 4
    assert report["tokens_saved"] == 0


def test_what_had_ended_too_is_not_waited_for_when_one_is_verified(plain: httpx.Client) -> None:
    sampling = {"samples": 4, "budget": 12, "mode": "plain", "aggregate": "verifier", "early_stop": True}
    for seed in range(3):
        answer = ask(plain, {**sampling, "verifier": regex("(?s).")}, temperature=1.0, seed=seed)
        report = answer["candor"]
        assert report["samples"][report["winner"]]["verified"] is True
        # all at once: those that end by themselves before their budget have the others stopped
        assert len({sample["tokens"] for sample in report["samples"]}) == 1


@pytest.mark.parametrize("rule", ["best", "first", "majority"])
def test_as_many_samples_end_as_choices_were_asked_for(plain: httpx.Client, rule: str) -> None:
    answer = ask(plain, {"samples": 6, "budget": 20, "aggregate": rule, "early_stop": True}, temperature=0, n=5)
    assert len(answer["choices"]) == 5
    ended = [sample for sample in answer["candor"]["samples"] if sample["finish_reason"] != "aborted"]
    assert len(ended) >= 5
    assert rule != "best" or len(ended) == 6


def test_best_is_the_most_certain_sample(plain: httpx.Client) -> None:
    report = ask(plain, {"samples": 6, "budget": 20, "aggregate": "best", "mode": "plain"}, **VARIED)["candor"]
    certain = [sample["confidence"] if sample["answer"] else 0 for sample in report["samples"]]
    assert report["samples"][report["winner"]]["confidence"] == max(certain)


def test_a_verifier_that_fails_is_a_failed_stage(plain: httpx.Client) -> None:
    down = closed_port()
    status, field, _ = refused(plain, {"verifier": {"kind": "http", "url": down}})
    assert (status, field) == (400, "candor.sampling.verifier.url")


def test_a_verifier_that_does_not_answer_leaves_the_vote_and_fails_a_strict_request(model: str, tmp_path: Path) -> None:
    down = closed_port()
    sampling = {"samples": 2, "budget": 8, "aggregate": "verifier", "verifier": {"kind": "http", "url": down}}
    for http in client(model, tmp_path, verifier_hosts=[down.removeprefix("http://")]):
        report = ask(http, sampling)["candor"]
        assert [stage["stage"] for stage in report["failed"]] == ["verify"]
        assert [sample["verified"] for sample in report["samples"]] == [None, None]
        status, _, message = refused(http, sampling, strict=True)
        assert (status, "verify" in message) == (503, True)


def test_programs_are_run_against_tests(plain: httpx.Client) -> None:
    sampling = {"samples": 2, "budget": 8, "verifier": {"kind": "code", "tests": "assert False"}}
    response = plain.post(
        "/v1/chat/completions",
        json={"model": "candor", "messages": QUESTION, "candor": {**ALONE, "sampling": sampling}},
    )
    if response.status_code == 501:
        pytest.skip("bubblewrap cannot make a sandbox here")
    assert [sample["verified"] for sample in response.json()["candor"]["samples"]] == [False, False]


def idle(app: FastAPI) -> None:
    """Nothing runs in the engine any more."""
    until = time.monotonic() + 5
    while app.state.service.engine._batch.samples:
        assert time.monotonic() < until, "the aborted samples go on"
        time.sleep(0.02)
