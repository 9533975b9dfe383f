"""A small HTTP server in place of a gateway, whose answers are a function of path and body."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Body = dict[str, Any]
Answering = Callable[[str, Body], tuple[int, Body]]
"""Path and body (empty of a GET) to status and JSON."""


@contextmanager
def endpoint(answer: Answering, model: str = "candor") -> Iterator[str]:
    """The address of a running server that serves a model of this name."""

    models = {"data": [{"id": model}]}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(*((200, models) if self.path == "/v1/models" else answer(self.path, {})))

        def do_POST(self) -> None:
            self._send(*answer(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def _send(self, status: int, body: Body) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def write_set(home: Path, name: str, rows: list[Body]) -> None:
    """A set of questions in a data folder."""
    (home / "sets").mkdir(parents=True, exist_ok=True)
    (home / "sets" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
