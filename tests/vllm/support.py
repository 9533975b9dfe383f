"""A client of the host's protocol, as raw as a socket; and the model service under uvicorn."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import uvicorn

from services.model.app import create_app
from services.model.settings import ModelSettings

ENDLESS = {"do": "generate", "prompt": [5, 6], "allowed": [0], "max_tokens": 600, "logit_bias": {"2": -100}}
"""A generation that lasts, since nothing can end it before its 600th token."""


class Client:
    """One connection; the greeting is read."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(240)
        self.socket.connect(str(path))
        self._file = self.socket.makefile("rb")
        self.hello = self.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, **message: Any) -> None:
        self.raw(json.dumps(message).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> dict[str, Any]:
        """The next event, empty at the end of the connection."""
        line = self._file.readline()
        event: dict[str, Any] = json.loads(line) if line else {}
        return event

    def ask(self, **message: Any) -> dict[str, Any]:
        self.send(**message)
        return self.read()

    def samples(self, call: str, n: int = 1) -> list[list[int]]:
        """The tokens of each of a request's samples, when all have ended."""
        return self.all_samples({call: n})[call]

    def all_samples(self, calls: dict[str, int]) -> dict[str, list[list[int]]]:
        """The tokens of each sample of several requests that run at once."""
        found: dict[str, list[list[int]]] = {call: [[] for _ in range(n)] for call, n in calls.items()}
        left = sum(calls.values())
        while left:
            event = self.read()
            assert event.get("event") == "tokens", event
            found[event["id"]][event["choice"]] += event["tokens"]
            left -= event["finish"] is not None
        return found


def until_under_way(path: Path, count: int) -> None:
    """Wait until the host computes so many sequences."""
    with Client(path) as watcher:
        deadline = time.monotonic() + 120
        while (pong := watcher.ask(do="ping"))["under_way"] != count:
            assert time.monotonic() < deadline, pong
            time.sleep(0.02)


@contextmanager
def serving(settings: ModelSettings, patience: float = 900) -> Iterator[httpx.Client]:
    """A client of the model service, once it is ready."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="warning"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # a connection for each request: on a busy machine one that was kept is closed while it is used again
            fresh = httpx.Limits(max_keepalive_connections=0)
            with httpx.Client(base_url=address, timeout=240, limits=fresh) as client:
                until_phase(client, "ready", patience)
                yield client
        finally:
            running.should_exit = True
            thread.join()


def until_phase(client: httpx.Client, beginning: str, patience: float = 900) -> str:
    """Wait until the service says that it is in a phase that begins so; returns it whole."""
    deadline = time.monotonic() + patience
    while True:
        try:
            phase: str = client.get("/readyz").json()["phase"]
        except httpx.TransportError:
            phase = "not listening"
        if phase.startswith(beginning):
            return phase
        assert time.monotonic() < deadline, phase
        assert not phase.startswith("failed"), phase
        time.sleep(0.05)
