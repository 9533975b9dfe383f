"""The model service on vLLM before there is a host: what can be told without one. The rest is in tests/vllm."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from services.model.app import create_app
from services.model.engines.vllm.hosts import RemoteHost
from services.model.settings import ModelSettings
from tests.unit.model.tiny import save


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("tiny"))


def until(client: TestClient, said: str) -> None:
    """Wait for a phase that says this."""
    deadline = time.monotonic() + 120
    while said not in (answer := client.get("/readyz")).json()["phase"]:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)
    assert answer.status_code == 503


def test_a_host_that_never_comes_is_waited_for_and_does_not_hold_up_the_end(checkpoint: Path, tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'nobody'}"
    with TestClient(create_app(ModelSettings(directory=checkpoint, engine="vllm", vllm_address=address))) as client:
        until(client, f"waiting for the vLLM host at {address}")
        refused = client.post("/v1/score", json={"texts": ["the owner"]})
        assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")


def test_a_host_that_cannot_start_is_told_with_what_to_do(checkpoint: Path, tmp_path: Path) -> None:
    settings = ModelSettings(directory=checkpoint, engine="vllm", vllm_python=tmp_path / "python")
    with TestClient(create_app(settings)) as client:
        until(client, "set CANDOR_MODEL_VLLM_PYTHON")


def test_a_host_that_ends_before_it_serves_is_not_started_again_and_again(checkpoint: Path) -> None:
    settings = ModelSettings(directory=checkpoint, engine="vllm", vllm_python=Path("/bin/false"))
    with TestClient(create_app(settings)) as client:
        until(client, "failed: the model could not be loaded: the vLLM host ended with exit code 1")


def test_either_an_interpreter_or_an_address_is_needed(checkpoint: Path) -> None:
    neither = ModelSettings(directory=checkpoint, engine="vllm")
    both = ModelSettings(directory=checkpoint, engine="vllm", vllm_python=Path("python"), vllm_address="unix:/socket")
    for settings in (neither, both):
        with TestClient(create_app(settings)) as client:
            until(client, "needs either CANDOR_MODEL_VLLM_PYTHON")


@pytest.mark.parametrize("address", ["", "unix:", "tcp:8085", "tcp:host:", "tcp::8085", "http://host:8085", "/socket"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="unix:PATH or tcp:HOST:PORT"):
        RemoteHost(address)
