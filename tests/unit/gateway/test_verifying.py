"""Verifiers: equivalence, patterns, schemas and the client's own, and attacks on each."""

import asyncio
import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.verify.checks import found
from gateway.verify.faults import BadVerifier, VerifierFailed, VerifierNotServed
from gateway.verify.pool import Pool
from gateway.verify.remote import Remote
from gateway.verify.verifiers import Verifiers
from shared.contracts.verifier import Verifier


def verifier(**fields: Any) -> Verifier:
    found: Verifier = TypeAdapter(Verifier).validate_python(fields)
    return found


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def verifiers(loop: asyncio.Runner) -> Iterator[Verifiers]:
    async def make() -> Verifiers:
        return Verifiers()

    made = loop.run(make())
    yield made
    loop.run(made.close())


def says(loop: asyncio.Runner, verifiers: Verifiers, text: str, **fields: Any) -> bool:
    return loop.run(verifiers.verify(verifier(**fields), "How much?", text, text))


@pytest.mark.parametrize(
    ("answer", "text", "equal"),
    [
        ("1/2", "So it is \\boxed{\\frac{1}{2}}.", True),
        ("0.5", "Final answer: \\frac{1}{2}", True),
        ("42", "40 + 2 = 42. The answer is 42.", True),
        ("42", "There were 42 at first; the answer is 41.", False),
        ("x^2+1", "\\boxed{1+x^2}", True),
        ("\\{1,2\\}", "\\boxed{\\{2,1\\}}", True),
        ("$2\\sqrt{3}$", "The final answer is $\\sqrt{12}$.", True),
        ("1,234", "1234", True),
        ("7", "no number", False),
        ("7", "", False),
    ],
)
def test_a_sample_is_right_when_its_last_expression_equals_the_answer(
    loop: asyncio.Runner, verifiers: Verifiers, answer: str, text: str, equal: bool
) -> None:
    assert says(loop, verifiers, text, kind="math", answer=answer) is equal


SCHEMA = {"type": "object", "properties": {"height": {"type": "integer"}}, "required": ["height"]}


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ('{"height": 42}', True),
        ('It is:\n```json\n{"height": 42}\n```', True),
        ('{"height": "42"}', False),
        ("{}", False),
        ("42 m", False),
        ('```python\n{"height": 1}\n```\nso\n```json\n{"height": 42}\n```\nin\n```\nmetres\n```', True),
        ('{"height": 42, "said": "```json\\n{}\\n```"}', True),
        ('{"height": 42, "width": NaN}', False),
        ("[" * 100_000, False),
    ],
)
def test_a_sample_is_right_when_it_is_json_of_the_schema(
    loop: asyncio.Runner, verifiers: Verifiers, text: str, valid: bool
) -> None:
    assert says(loop, verifiers, text, kind="json_schema", schema=SCHEMA) is valid


@pytest.mark.parametrize(("text", "found"), [("It is 42 m tall.", True), ("It is 421 m tall.", False)])
def test_a_sample_is_right_when_the_pattern_is_in_it(
    loop: asyncio.Runner, verifiers: Verifiers, text: str, found: bool
) -> None:
    assert says(loop, verifiers, text, kind="regex", pattern=r"\b42\b") is found


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "regex", "pattern": "("}, "pattern"),
        ({"kind": "json_schema", "schema": {"type": "nothing"}}, "schema"),
        ({"kind": "math", "answer": "?!"}, "answer"),
    ],
)
def test_a_verifier_that_is_none_is_refused_before_any_work(
    loop: asyncio.Runner, verifiers: Verifiers, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadVerifier) as refused:
        loop.run(verifiers.check(verifier(**fields)))
    assert (refused.value.status, refused.value.field) == (400, f"candor.sampling.verifier.{field}")


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize("schema", [nested(65), nested(600), nested(900), {"const": "x" * 100_001}])
def test_a_schema_that_nobody_could_send_on_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"deep|longer"):
        verifier(kind="json_schema", schema=schema)


def test_a_deep_schema_is_one(loop: asyncio.Runner, verifiers: Verifiers) -> None:
    assert says(loop, verifiers, "1", kind="json_schema", schema=nested(62)) is True


HELD = """
import asyncio
from gateway.verify.pool import Pool
from gateway.verify.checks import found

async def main():
    pool = Pool(100)
    await pool.run(found, "a", "a")
    print(*[worker.pid for worker in __import__("multiprocessing").active_children()], flush=True)
    await asyncio.gather(*(pool.run(found, "^(?:(a+)+)+$", "a" * 60 + "!") for _ in range(2)))

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_checks_that_take_for_ever_end_with_the_gateway_however_it_ends(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(HELD)
    gateway = subprocess.Popen([sys.executable, tmp_path / "held.py"], stdout=subprocess.PIPE, text=True)
    assert gateway.stdout is not None
    workers = [int(pid) for pid in gateway.stdout.readline().split()]
    time.sleep(1)
    gateway.kill()
    gateway.wait()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert workers


CATASTROPHE = {"type": "string", "pattern": "^(a+)+$"}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a" * 40 + "!", {"kind": "regex", "pattern": "(a|a)*$|^(?:(a+)+)+$"}),
        (json.dumps("a" * 40 + "!"), {"kind": "json_schema", "schema": CATASTROPHE}),
        ("\\boxed{9^{9^{9^{9^9}}}}", {"kind": "math", "answer": "9^{9^{9^{9^8}}}"}),
        ("1", {"kind": "json_schema", "schema": {"$ref": "#"}}),
    ],
)
def test_what_would_take_for_ever_is_ended_and_the_next_check_works(
    loop: asyncio.Runner, text: str, fields: dict[str, Any]
) -> None:
    async def run() -> None:
        verifiers = Verifiers(seconds=2.0)
        try:
            await verifiers.verify(verifier(kind="regex", pattern="a"), "", "a", "a")
            began = time.monotonic()
            with suppress(VerifierFailed):
                assert not await verifiers.verify(verifier(**fields), "", text, text)
            assert time.monotonic() - began < 10
            assert await verifiers.verify(verifier(kind="regex", pattern="a"), "", "a", "a")
        finally:
            await verifiers.close()

    loop.run(run())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_pool_that_broke_is_replaced(loop: asyncio.Runner) -> None:
    async def run() -> bool:
        pool = Pool()
        try:
            # too deep for the thread that sends it, which dies of it
            with suppress(TimeoutError):
                await asyncio.wait_for(pool.run(found, "a", nested(900)), 2)
            return await pool.run(found, "a", "a")
        finally:
            await pool.close()

    assert loop.run(run())


class Said(BaseHTTPRequestHandler):
    """Answers as the path says."""

    heard: list[Any] = []
    cookies: list[str | None] = []

    def do_POST(self) -> None:
        Said.heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        Said.cookies.append(self.headers["cookie"])
        if self.path == "/slow":
            self._drip()
            return
        answers = {"/yes": b'{"verified": true}', "/no": b'{"verified": false}', "/odd": b'{"verified": "yes"}'}
        self.send_response({"/moved": 302, "/broken": 500}.get(self.path, 200))
        self.send_header("location", "/yes")
        self.send_header("set-cookie", "client=1")
        if self.path == "/packed":
            self.send_header("content-encoding", "gzip")
            answers["/packed"] = gzip.compress(answers["/yes"])
        self.end_headers()
        self.wfile.write(b"x" * (1 << 20) if self.path == "/endless" else answers.get(self.path, b""))

    def _drip(self) -> None:
        """A byte now and then, so that it is never silent for long."""
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
            for byte in b'{"verified": true}':
                self.wfile.write(bytes([byte]))
                time.sleep(0.2)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Said)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


def remote(loop: asyncio.Runner, hosts: list[str], url: str) -> bool:
    async def run() -> bool:
        verifiers = Verifiers(hosts)
        one = verifier(kind="http", url=url)
        try:
            await verifiers.check(one)
            return await verifiers.verify(one, "How tall?", "It is 42.", "42")
        finally:
            await verifiers.close()

    return loop.run(run())


def test_the_clients_own_verifier_is_asked(loop: asyncio.Runner, server: str) -> None:
    assert remote(loop, [server], f"http://{server}/yes")
    assert Said.heard[-1] == {"question": "How tall?", "text": "It is 42.", "answer": "42"}
    assert not remote(loop, [server], f"http://{server}/no")


@pytest.mark.parametrize("path", ["odd", "moved", "broken", "endless", "empty", "packed"])
def test_a_verifier_that_does_not_say_has_failed(loop: asyncio.Runner, server: str, path: str) -> None:
    with pytest.raises(VerifierFailed):
        remote(loop, [server], f"http://{server}/{path}")


def test_a_verifier_has_its_time_and_no_more_however_it_spends_it(loop: asyncio.Runner, server: str) -> None:
    async def run() -> None:
        asking = Remote([server], seconds=1.0)
        try:
            await asking.verify(f"http://{server}/slow", "How tall?", "It is 42.", "42")
        finally:
            await asking.close()

    began = time.monotonic()
    with pytest.raises(VerifierFailed, match="1 s"):
        loop.run(run())
    assert time.monotonic() - began < 2.5


def test_one_clients_verifier_leaves_nothing_for_the_next(loop: asyncio.Runner, server: str) -> None:
    async def run() -> None:
        asking = Remote([server])
        for _ in range(2):
            await asking.verify(f"http://{server}/yes", "How tall?", "It is 42.", "42")
        await asking.close()

    loop.run(run())
    assert Said.cookies[-2:] == [None, None]


def test_a_host_may_be_an_address_of_version_six(loop: asyncio.Runner) -> None:
    async def run() -> bool:
        asking = Remote([f"[::1]:{port}"])
        try:
            # without brackets and port it would read as another address
            with pytest.raises(BadVerifier):
                Remote([f"::1:{port}"]).check(f"http://[::1:{port}]/yes")
            return await asking.verify(f"http://[::1]:{port}/yes", "", "", "")
        finally:
            await asking.close()

    class Six(ThreadingHTTPServer):
        address_family = socket.AF_INET6

    try:
        six = Six(("::1", 0), Said)
    except OSError:
        pytest.skip("no version six here")
    port = six.server_port
    threading.Thread(target=six.serve_forever, daemon=True).start()
    assert loop.run(run())
    six.shutdown()


def test_without_allowed_hosts_no_address_is_called(loop: asyncio.Runner, server: str) -> None:
    heard = len(Said.heard)
    with pytest.raises(VerifierNotServed, match="CANDOR_GATEWAY_VERIFIER_HOSTS"):
        remote(loop, [], f"http://{server}/yes")
    assert len(Said.heard) == heard


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/yes",
        "http://127.0.0.1/yes",
        "http://localhost/yes",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]:8081/v1/models",
        "http://{server}@127.0.0.1:1/",
        "http://127.0.0.1:1#@{server}/",
        "http://{server}.example/",
        "file:///etc/passwd",
        "gopher://{server}/",
        "//{server}/yes",
        "http://",
        "http://a b/",
    ],
)
def test_an_address_on_any_other_host_is_refused(loop: asyncio.Runner, server: str, url: str) -> None:
    with pytest.raises(BadVerifier) as refused:
        remote(loop, [server, "verifier.example"], url.format(server=server))
    assert refused.value.field == "candor.sampling.verifier.url"


def test_a_schema_fetches_nothing(loop: asyncio.Runner, verifiers: Verifiers, server: str) -> None:
    heard = len(Said.heard)
    with pytest.raises(VerifierFailed):
        says(loop, verifiers, "{}", kind="json_schema", schema={"$ref": f"http://{server}/yes"})
    assert len(Said.heard) == heard


def test_code_is_not_run_where_the_operator_says_so(loop: asyncio.Runner) -> None:
    async def run() -> None:
        await Verifiers(run_code=False).check(verifier(kind="code", tests="assert True"))

    with pytest.raises(VerifierNotServed, match="RUN_CODE"):
        loop.run(run())
