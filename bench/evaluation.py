"""What a run of many items costs the evaluation service: memory, items per second, and how long its reports take.

The service is a process of its own; the endpoint it asks (`bench.evaluation_endpoint`) answers at once.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from bench.result import Figures, finish

SETTINGS = ["closed_book", "rag"]
QUESTIONS_A_DOCUMENT = 5
READY_SECONDS = 180


def main() -> None:
    """Run it small, then large, in one process of the service."""
    parser = argparse.ArgumentParser(prog="python -m bench.evaluation", description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--pages", type=Path, help="keep the pages in this folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_questions(Path(folder), given.items // len(SETTINGS))
        with endpoint() as url, service(Path(folder), url) as (http, cost):
            small = measure(http, cost, given.items // 10, None)
            large = measure(http, cost, given.items, given.pages)
    figures = {**{f"tenth_{name}": value for name, value in small.items()}, **large}
    finish("evaluation", figures, {"items": given.items, "concurrency": 4, "clusters_of": QUESTIONS_A_DOCUMENT})


def measure(http: httpx.Client, cost: Cost, items: int, pages: Path | None) -> Figures:
    """One run of so many items, its reports, the same again scored anew, and the two compared.

    Seconds of the processor are the service's own; a busy machine adds to the seconds of the clock alone.
    """
    body = {"suite": "rag-qa", "limit": items // len(SETTINGS), "options": {"sets": ["street"], "settings": SETTINGS}}
    cost.since()
    run = http.post("/v1/evaluations", json=body).json()["id"]
    figures: Figures = named("create", cost.since())
    until_ended(http, run)
    figures |= named("run", cost.since())
    again = http.post(f"/v1/evaluations/{run}/rescore", json={"metrics": ["output_f1"]}).json()["id"]
    until_ended(http, again)
    figures |= named("rescore", cost.since())
    asked = {
        "report": f"/v1/evaluations/{run}/report",
        "report_html": f"/v1/evaluations/{run}/report?format=html",
        "compare": f"/v1/evaluations/compare?runs={run}&runs={again}",
        "compare_html": f"/v1/evaluations/compare?runs={run}&runs={again}&format=html",
    }
    for name, path in asked.items():
        answer = http.get(path)
        assert answer.status_code == 200, answer.text[:500]
        figures |= {**named(name, cost.since()), f"{name}_size_mb": len(answer.content) / 1e6}
        if pages is not None and name.endswith("html"):
            pages.mkdir(parents=True, exist_ok=True)
            (pages / f"{name}.html").write_bytes(answer.content)
    return figures


def named(what: str, cost: dict[str, float]) -> Figures:
    """Figures of one step."""
    return {f"{what}_{name}": value for name, value in cost.items()}


class Cost:
    """What a process took since it was last asked: seconds, its processor's seconds, and its largest resident set."""

    def __init__(self, process: int) -> None:
        self._process, self._most = Path(f"/proc/{process}"), 0.0
        self._began, self._busy = time.perf_counter(), self._processor()
        threading.Thread(target=self._watch, daemon=True).start()

    def since(self) -> dict[str, float]:
        """Since the last call."""
        now, busy, most = time.perf_counter(), self._processor(), max(self._most, self._resident())
        found = {"seconds": now - self._began, "cpu_seconds": busy - self._busy, "peak_mb": most}
        self._began, self._busy, self._most = now, busy, 0.0
        return found

    def _processor(self) -> float:
        user, system = (self._process / "stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _resident(self) -> float:
        return int((self._process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _watch(self) -> None:
        with suppress(OSError):  # the process has ended
            while True:
                self._most = max(self._most, self._resident())
                time.sleep(0.02)


def write_questions(home: Path, count: int) -> None:
    """Questions on houses, several on each document."""
    documents, questions = [], []
    for house in range(count):
        documents.append({"id": f"street:{house // QUESTIONS_A_DOCUMENT}", "text": f"blue number {house} is a door."})
        question = {"question": f"What colour is the door of house {house}?", "answers": [f"blue number {house}"]}
        about = {"id": f"street:q{house}", "set": "street", "owner": "encyclopedia", "source": "street"}
        questions.append({**about, **question, "document": documents[-1]["id"]})
    texts: dict[str, list[str]] = {}
    for document in documents:
        texts.setdefault(document["id"], []).append(document["text"])
    whole: list[dict[str, Any]] = [{"id": name, "text": " ".join(lines)} for name, lines in texts.items()]
    for path, rows in ((home / "texts/encyclopedia/street.jsonl", whole), (home / "questions/street.jsonl", questions)):
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@contextmanager
def endpoint() -> Iterator[str]:
    """The endpoint in a process of its own."""
    port = free_port()
    with running([sys.executable, "-m", "bench.evaluation_endpoint", str(port)], {}):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def service(home: Path, asked: str) -> Iterator[tuple[httpx.Client, Cost]]:
    """The service, ready, and what it costs."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "services.evaluation.app:create_app", "--port", str(port)]
    settings = {"CANDOR_HOME": str(home), "CANDOR_EVALUATION_GATEWAY_URL": asked}
    url = f"http://127.0.0.1:{port}"
    with (
        running([*command, "--log-level", "warning"], settings) as process,
        httpx.Client(base_url=url, timeout=600, trust_env=False) as http,
    ):
        until = time.monotonic() + READY_SECONDS
        while not ready(http):
            if time.monotonic() > until:
                raise TimeoutError("the evaluation service did not become ready")
            time.sleep(0.2)
        yield http, Cost(process)


@contextmanager
def running(command: list[str], settings: dict[str, str]) -> Iterator[int]:
    """A process, and its end."""
    process = subprocess.Popen(command, env={**os.environ, **settings})
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def ready(http: httpx.Client) -> bool:
    """Whether the service can be asked."""
    try:
        return http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def until_ended(http: httpx.Client, run: str) -> None:
    """Return once the run has succeeded."""
    while (now := http.get(f"/v1/evaluations/{run}").json())["status"] in ("queued", "running"):
        time.sleep(0.25)
    assert now["status"] == "succeeded", now


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
