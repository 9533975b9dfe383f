"""What the model service refuses, and how it says so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from services.model.app import create_app
from services.model.settings import ModelSettings
from tests.contract.model_server import app, client, server
from tests.contract.model_support import CHAT, TEXT, refused

__all__ = ["app", "client", "server"]


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
        ("chat/completions", CHAT | {"experts": ["papers"]}, 400, "invalid_request", "experts", "as candor.experts."),
        ("completions", TEXT | {"experts": ["papers"]}, 400, "invalid_request", "experts", "as candor.experts."),
        ("completions", TEXT | {"owners": ["papers"]}, 400, "invalid_request", "owners", "`candor`"),
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
        ({"texts": ["a"], "tokens": [[5]]}, 422, "invalid_request"),
        ({}, 422, "invalid_request"),
        ({"tokens": [[5] * 641]}, 422, "context_length_exceeded"),
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
