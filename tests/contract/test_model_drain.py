"""`candor serve model` told to stop in the middle of an answer: the answer ends, nothing new begins."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.model.tiny import save

ENDLESS = {"model": "candor", "prompt": "the owner", "stream": True, "logit_bias": {"2": -100}}


@contextmanager
def process(checkpoint: Path, home: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"CANDOR_HOME": str(home), "CANDOR_MODEL_DIRECTORY": str(checkpoint)}
    command = [sys.executable, "-m", "gateway.cli", "serve", "model", "--port", str(port), *options]
    with (home / "log").open("wb") as log:
        running = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}", running, home / "log")
        yield running, f"http://127.0.0.1:{port}"
    finally:
        running.kill()
        running.wait()


def _wait_until_ready(address: str, running: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and running.poll() is None:
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def stopped_in_mid_stream(running: subprocess.Popen[bytes], address: str, **fields: Any) -> list[str]:
    """The events of a stream during which the process is told to stop, and refuses others from then on."""
    events: list[str] = []
    with httpx.stream("POST", f"{address}/v1/completions", json=ENDLESS | fields, timeout=60) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append(line.removeprefix("data: "))
            if len(events) == 3:
                running.send_signal(signal.SIGTERM)
                _wait_until_refused(address)
    return events


def _wait_until_refused(address: str) -> None:
    for _ in range(1200):
        try:
            httpx.get(f"{address}/livez", timeout=30)
        except httpx.RemoteProtocolError:
            pass  # it was let in as the last one, and not answered
        except httpx.ConnectError:
            return
        time.sleep(0.05)
    raise AssertionError("it still takes requests")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("tiny"))


def test_an_answer_under_way_ends_as_it_would_have(checkpoint: Path, tmp_path: Path) -> None:
    with process(checkpoint, tmp_path) as (running, address):
        events = stopped_in_mid_stream(running, address, max_tokens=500)
        assert events[-1] == "[DONE]"
        assert '"finish_reason":"length"' in events[-2]
        assert running.wait(120) in (0, -signal.SIGTERM)
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_an_answer_that_takes_longer_than_the_grace_is_cut_off(checkpoint: Path, tmp_path: Path) -> None:
    with process(checkpoint, tmp_path, "--grace", "1") as (running, address):
        try:
            events = stopped_in_mid_stream(running, address, max_tokens=600, n=32, temperature=1)
            assert events[-1] != "[DONE]"
        except httpx.RemoteProtocolError:
            pass
        assert running.wait(120) in (0, -signal.SIGTERM)
