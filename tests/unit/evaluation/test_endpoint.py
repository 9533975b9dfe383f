"""What an endpoint can send in place of an answer, over real sockets: each ends, and says what was wrong."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from services.evaluation import endpoint as module
from services.evaluation.endpoint import Endpoint, EndpointError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def sending(send: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that reads what has come of a request and then sends what it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                connection.recv(65_536)
                send(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def trickling(connection: socket.socket) -> None:
    """An answer that never ends, and never stops coming."""
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1\r\n \r\n")
        time.sleep(0.05)


def flooding(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")


def ask(url: str, *, timeout: float = 30.0, patience: float = 0.0) -> object:
    async def asked() -> object:
        async with Endpoint(url, run="run", api_key=None, timeout=timeout, patience=patience) as endpoint:
            return (await endpoint.post("/v1/x", {}, item="item")).body

    return asyncio.run(asked())


def test_an_answer_that_never_stops_coming_is_given_up_in_time() -> None:
    started = time.monotonic()
    with sending(trickling) as url, pytest.raises(EndpointError, match="did not answer in time"):
        ask(url, timeout=1.0)
    assert time.monotonic() - started < 10


def test_an_answer_without_end_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1_000_000)
    with sending(flooding) as url, pytest.raises(EndpointError, match="more than 1 MB"):
        ask(url)


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (HEAD + b"Content-Length: 50\r\n\r\n" + b'{"choices": [', "broke off its answer"),
        (HEAD + b"Content-Length: 4\r\nContent-Encoding: gzip\r\n\r\nnope", "broken encoding"),
        (HEAD + b'Content-Length: 12\r\n\r\n{"nll": NaN}', "not JSON"),
        (HEAD + b"Content-Length: 100000\r\n\r\n" + b"[" * 100_000, "not JSON"),
    ],
)
def test_half_an_answer_and_a_broken_one_say_what_they_are(sent: bytes, says: str) -> None:
    with sending(lambda connection: connection.sendall(sent)) as url, pytest.raises(EndpointError, match=says):
        ask(url)


def test_a_connection_that_is_reset_in_the_answer_was_broken_off_too() -> None:
    """As when the server ends before it has read the whole request."""

    def resetting(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: 50\r\n\r\n")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with sending(resetting) as url, pytest.raises(EndpointError, match="broke off its answer"):
        ask(url)


def test_an_address_that_is_none_is_said_so() -> None:
    with pytest.raises(EndpointError, match="cannot be reached"):
        ask("localhost:8080")
