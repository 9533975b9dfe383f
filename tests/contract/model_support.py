"""The model service as its clients find it: the real app under uvicorn, a tiny random model, a real tokenizer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from services.model.app import create_app
from services.model.settings import ModelSettings
from tests.contract.gateway_support import serving
from tests.unit.model.tiny import save

EXPERTS: list[dict[str, Any]] = [
    {"id": "public"},
    {"id": "papers", "owner": "papers", "licence": "CC-BY-4.0", "tokens": 1000},
    {"id": "medicine", "owner": "medicine"},
    {"id": "python", "owner": "python"},
]
MESSAGES = [{"role": "user", "content": "the owner leaves"}]
CHAT = {"model": "candor", "messages": MESSAGES}
TEXT = {"model": "candor", "prompt": "the"}


def tiny_checkpoint(directory: Path) -> Path:
    """A tiny random model with four named experts."""
    save(directory)
    (directory / "candor.json").write_text(json.dumps({"experts": EXPERTS}))
    return directory


def tiny_app(checkpoint: Path) -> FastAPI:
    """The model service on it, with a short queue."""
    return create_app(ModelSettings(directory=checkpoint, dtype="float32", threads=1, max_batch=4, max_queue=3))


@contextmanager
def ready(app: FastAPI) -> Iterator[str]:
    """The address of an app that is ready."""
    with serving(app) as address:
        until_ready(address)
        yield address


def until_ready(address: str, seconds: float = 240) -> None:
    """Wait until a service says that it is ready."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if httpx.get(address + "/readyz").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("the service did not get ready")


def events(client: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The chunks of a stream, which has to end as OpenAI's do."""
    with client.stream("POST", path, json=body | {"stream": True}) as response:
        assert response.status_code == 200
        data = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    return [json.loads(one) for one in data[:-1]]


def chat(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    """The answer to a chat."""
    body = {"model": "candor", "messages": MESSAGES, "temperature": 0, "max_tokens": 12} | fields
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def complete(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    """The completion of a prompt."""
    body = {"model": "candor", "prompt": "the owner", "temperature": 0, "max_tokens": 12} | fields
    response = client.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def refused(client: httpx.Client, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The status of a request, and what it says."""
    response = client.post(path, json=body)
    return response.status_code, response.json()
