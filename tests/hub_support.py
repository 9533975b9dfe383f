"""A hub on loopback with two data sets, for tests that download from one."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(cards: Mapping[str, Any], content: bytes, split: str) -> Iterator[str]:
    """Data sets by name, with their cards; each has a split of one Parquet file. Yields the endpoint."""

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            name = "/".join(self.path.removeprefix("/api").split("/")[2:4])
            body = content
            if name not in cards:
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                body = b"{}"
            elif self.path.startswith("/api/"):
                self.send_response(200)
                files = [{"rfilename": f"data/{split}-00000-of-00001.parquet"}, {"rfilename": "README.md"}]
                info = {"id": name, "sha": COMMIT, "siblings": files, "cardData": cards[name]}
                body = json.dumps(info).encode()
            else:
                self.send_response(200)
                self.send_header("ETag", f'"{"0" * 40}"')
                self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
