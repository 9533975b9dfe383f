"""A vLLM host without vLLM: it speaks the host's protocol on a real Unix socket, and answers as a test tells it to."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from services.model.engines.vllm.fingerprint import fingerprint
from services.model.engines.vllm.messages import PROTOCOL

EXPERTS = 4


class Peer:
    """One connection, as the host sees it. `received`: the requests on it, without pings."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.received: list[dict[str, Any]] = []

    def send(self, **event: Any) -> None:
        self.raw(json.dumps(event).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        with suppress(OSError):
            self._socket.sendall(data)

    def tokens(self, request: dict[str, Any], **change: Any) -> None:
        """Answer a generation with its one and last token, or with something else in its place."""
        shares = [float(expert == request["allowed"][0]) for expert in range(EXPERTS)]
        answer = {"event": "tokens", "id": request["id"], "choice": 0, "allowed": request["allowed"], "tokens": [2]}
        answer |= {"logprobs": [-0.5], "means": [-9.0], "top": [[]], "routing": [shares], "finish": "stop"}
        self.send(**answer | change)


Answer = Callable[[Peer, dict[str, Any]], None]


class ScriptedHost:
    """Greets whoever connects, and gives each of their requests to `answer`. `hung`: it reads, and says nothing."""

    def __init__(self, folder: Path, answer: Answer, sequences: int = 4096) -> None:
        self.directory = folder / "checkpoint"
        self.directory.mkdir()
        (self.directory / "config.json").write_text("{}")
        self.address = f"unix:{folder / 'host'}"
        self.peers: list[Peer] = []
        self.hung = False
        self.answer = answer
        self.hello = {"event": "hello", "protocol": PROTOCOL, "plugin": True, "architecture": "mixtral"}
        self.hello |= {"experts": EXPERTS, "active": 2, "vocabulary": 320, "max_length": 640, "ends": [2]}
        self.hello |= {"fingerprint": fingerprint(self.directory), "sequences": sequences, "routing": True}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "host"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        # a thread that waits in `accept` is not woken by `close`
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        peer = Peer(connection)
        self.peers.append(peer)
        with connection, suppress(OSError):
            if not self.hung:
                peer.send(**self.hello)
            for line in connection.makefile("rb"):
                request = json.loads(line)
                if request["do"] != "ping":
                    peer.received.append(request)
                if self.hung:
                    continue
                if request["do"] == "ping":
                    peer.send(event="pong", under_way=0)
                else:
                    self.answer(peer, request)
