"""The real evaluation service as a process, a small OpenAI-compatible server for it to ask, and made-up questions."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from shared.contracts.evaluation import Report

READY_SECONDS = 180
"""A machine shared with others may take long to import what takes two seconds alone."""

COLOURS = ("blue", "green", "crimson", "amber", "violet")


def colour(house: int) -> str:
    return f"{COLOURS[house % 5]} number {house}"


def write_questions(home: Path, count: int = 30) -> None:
    """Questions on houses in two sets: `tales`, of an owner that can be left out, and `facts`, of a public one."""
    for name, owner in (("tales", "literature"), ("facts", "encyclopedia")):
        questions, documents = [], []
        for house in range(count):
            document = {"id": f"{name}:{house}", "text": f"The door of house {house} was painted {colour(house)}."}
            question = {
                "id": f"{name}:q{house}",
                "set": name,
                "owner": owner,
                "source": name,
                "question": f"What colour is the door of house {house} in {name}?",
                "answers": [colour(house)],
                "document": document["id"],
            }
            documents.append(document)
            questions.append(question)
        _write(home / "texts" / owner / f"{name}.jsonl", documents)
        _write(home / "questions" / f"{name}.jsonl", questions)


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@dataclass
class Oracle:
    """An OpenAI-compatible server outside the service. It knows every answer, but only if it may read the passage."""

    delay: float = 0.0
    broken: set[str] = field(default_factory=set)
    garbage: bool = False
    instead: bytes | None = None
    """Sent in place of a completion, with status 200."""
    asked: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def reply(self, request_id: str, body: dict[str, Any]) -> tuple[int, bytes]:
        """The status and body of one chat completion."""
        self.asked[request_id] += 1
        self.bodies.append(body)
        time.sleep(self.delay)
        question = body["messages"][-1]["content"]
        if any(mark in question for mark in self.broken):
            return 500, json.dumps({"error": {"message": "the oracle is out of order"}}).encode()
        if self.instead is not None:
            return 200, self.instead
        if self.garbage:
            return 200, b"<html>hello</html>"
        return 200, json.dumps(self._completion(question, body["candor"])).encode()

    def _completion(self, question: str, extension: dict[str, Any]) -> dict[str, Any]:
        house, name = int(question.split("house ")[1].split(maxsplit=1)[0]), question.rstrip("?").split()[-1]
        owner = {"tales": "literature", "facts": "encyclopedia"}[name]
        left_out = extension.get("owners", {}).get("exclude", [])
        passages = []
        if extension.get("retrieval") and owner not in left_out:
            passages = [{"document": f"{name}:{house}", "owner": owner}]
        text = f"It is {colour(house)} [1]." if passages else "I do not know."
        effective = sorted({"literature", "encyclopedia"} - set(left_out))
        return {
            "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"completion_tokens": len(text.split())},
            "candor": {"passages": passages, "owners": {"effective": effective}, "failed": []},
        }


@contextmanager
def oracle() -> Iterator[Oracle]:
    """A running oracle."""
    knows = Oracle()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = self.path == "/v1/models"
            self._send(200 if found else 404, b'{"data": [{"id": "candor"}]}' if found else b"{}")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(*knows.reply(self.headers["X-Request-Id"], body))

        def _send(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Silent: the service under test is killed on purpose, with requests under way."""

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        knows.url = f"http://127.0.0.1:{server.server_port}"
        yield knows
        server.shutdown()


@dataclass
class Service:
    """A running process of the service."""

    process: subprocess.Popen[bytes]
    http: httpx.Client
    url: str

    def create(self, **request: Any) -> dict[str, Any]:
        """A new run."""
        response = self.http.post("/v1/evaluations", json={"suite": "rag-qa", **request})
        assert response.status_code == 202, response.text
        run: dict[str, Any] = response.json()
        return run

    def get(self, run: str) -> dict[str, Any]:
        """The run now."""
        found: dict[str, Any] = self.http.get(f"/v1/evaluations/{run}").json()
        return found

    def wait(self, run: str, *, done: int | None = None, seconds: float = 120) -> dict[str, Any]:
        """The run once it has ended, or once so many items are done."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            now = self.get(run)
            if now["status"] not in ("queued", "running") or (done is not None and now["progress"]["done"] >= done):
                return now
            time.sleep(0.05)
        raise AssertionError(f"the run did not get there: {self.get(run)}")

    def report(self, run: str) -> Report:
        """The report of a run."""
        return Report.model_validate(self.http.get(f"/v1/evaluations/{run}/report").json())

    def rescore(self, run: str, **request: Any) -> dict[str, Any]:
        """The run that scores another's answers again, once it has ended."""
        response = self.http.post(f"/v1/evaluations/{run}/rescore", json=request)
        assert response.status_code == 202, response.text
        return self.wait(response.json()["id"])

    def items(self, run: str, **page: Any) -> list[dict[str, Any]]:
        """The items of a run."""
        response = self.http.get(f"/v1/evaluations/{run}/items", params={"limit": 1000, **page})
        assert response.status_code == 200, response.text
        items: list[dict[str, Any]] = response.json()["data"]
        return items

    def kill(self) -> None:
        """kill -9: nothing is tidied up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@contextmanager
def serving(home: Path, endpoint: str, **settings: str) -> Iterator[Service]:
    """The service in a process of its own, ready; `settings` are CANDOR_EVALUATION_* in lower case."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"gateway_url": endpoint, "patience": "1", **settings}
    environment = {
        **os.environ,
        "CANDOR_HOME": str(home),
        **{f"CANDOR_EVALUATION_{name.upper()}": value for name, value in given.items()},
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "services.evaluation.app:create_app"]
    command += ["--port", str(port), "--log-level", "warning", "--timeout-graceful-shutdown", "1"]
    process = subprocess.Popen(command, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
            _until_ready(http, process)
            yield Service(process, http, url)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def _until_ready(http: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if http.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("the evaluation service did not become ready")
