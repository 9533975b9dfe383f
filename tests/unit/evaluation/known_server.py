"""An endpoint that is known: completions of one text, and scores by a rule that can be read."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites.base import Answer, Planned
from services.evaluation.suites.copybench.suite import CopyBench

LEVEL = re.compile(r"with a fluency of (\d) of 5")


class Server(ThreadingHTTPServer):
    """Answers completions with `text`, and scores texts, one token a word.

    A word that has stood before in the text is likely. Those of a text that is held against a level of a rubric are as
    likely as the level is near to the rating, which is 5 if the text's words stand in a row in `book` and 1 if they do
    not. A blind server finds all alike. `asked`: the texts scored. `experts`: the mask, as it says.
    """

    text = ""
    book = ""
    effective: tuple[str, ...] | None = None
    blind = False
    experts: tuple[str, ...] = ("public",)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        owners = body["candor"]["owners"]["include"]
        return {
            "choices": [{"text": self.text, "message": {"content": self.text}, "finish_reason": "length"}],
            "usage": {"completion_tokens": 7},
            "candor": {"owners": {"effective": self.effective or owners}},
        }

    def scores(self, body: dict[str, Any]) -> dict[str, Any]:
        self.asked += body["texts"]
        return {"data": [self.score(text) for text in body["texts"]]}

    def score(self, text: str) -> dict[str, Any]:
        words = text.split()
        logprobs = [-1.0 if not self.blind and word in words[:at] else -5.0 for at, word in enumerate(words)][1:]
        judged = text.rpartition("Text:")[2]
        if (level := LEVEL.search(text)) and judged and not self.blind:
            count = len(judged.split())
            logprobs[-count:] = [self.likely(judged, int(level[1]))] * count
        tokens = [int.from_bytes(word.encode()) for word in words]
        return {"tokens": tokens, "logprobs": logprobs, "experts": [*self.experts], "routing": {"public": 1.0}}

    def likely(self, judged: str, level: int) -> float:
        """Of every word of a text under a level."""
        return -1.0 - 0.01 * abs(self.rating(judged) - level)

    def rating(self, judged: str) -> int:
        return 5 if " ".join(judged.split()) in " ".join(self.book.split()) else 1


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = cast(Server, self.server)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = server.scores(body) if self.path == "/v1/score" else server.completion(body)
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    """The server, as long as it is needed."""
    server = Server()
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def scored(item: Planned, server: Server) -> tuple[Answer, dict[str, float]]:
    """What the suite makes of an item in a run of its own."""
    [found] = scored_in_one_run([item], server)
    return found


def scored_in_one_run(items: list[Planned], server: Server) -> list[tuple[Answer, dict[str, float]]]:
    """Of items that are asked at the same time."""

    async def ask() -> list[Answer]:
        url = f"http://127.0.0.1:{server.server_port}"
        async with Endpoint(url, run="r", api_key=None, timeout=20, patience=0) as endpoint:
            return await asyncio.gather(*(CopyBench().answer(item, endpoint) for item in items))

    return [(answer, CopyBench().score(item, answer)) for item, answer in zip(items, asyncio.run(ask()), strict=True)]
