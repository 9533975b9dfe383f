"""/v1/trace/stream: over a socket of its own, since pieces go out while events come in."""

import itertools
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.http.trace_stream import Stretches
from tests.contract.test_tracing_api import OWNERS, ask, client, home  # noqa: F401 (fixtures)
from tests.tracing_support import manual

PATH = "/v1/trace/stream"


class Stream:
    """A request whose body goes out line by line, in chunks of HTTP/1.1."""

    def __init__(self, address: httpx.URL) -> None:
        self._socket = socket.create_connection((address.host, address.port), timeout=30)
        self._incoming = self._socket.makefile("rb")
        self._frames: list[bytes] = []
        self._rest = b""
        head = f"POST {PATH} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        self._socket.sendall(head.encode())
        self.status = 0

    def send(self, line: dict[str, object] | bytes) -> None:
        data = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
        self._socket.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end(self) -> None:
        self._socket.sendall(b"0\r\n\r\n")

    def event(self) -> tuple[str, Any]:
        """The next event."""
        while not self._frames:
            self._read()
        name, data = self._frames.pop(0).decode().split("\n", 1)
        return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    def events(self) -> Iterator[tuple[str, Any]]:
        """All that are left."""
        while True:
            try:
                yield self.event()
            except EOFError:
                return

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> None:
        if not self.status:
            self.status = int(self._incoming.readline().split()[1])
            while self._incoming.readline().strip():
                pass
        size = int(self._incoming.readline() or b"0", 16)
        if not size:
            raise EOFError
        self._rest += self._incoming.read(size)
        self._incoming.readline()
        *frames, self._rest = self._rest.split(b"\n\n")
        self._frames += frames


def without_times(trace: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in trace.items() if name != "timings"}


def test_spans_come_while_the_text_goes_out_and_the_end_is_the_trace_of_the_whole(client: httpx.Client) -> None:  # noqa: F811
    first, second = manual()[45], manual()[85]
    stream = Stream(client.base_url)
    stream.send({"text": first[:30], "owners": [*OWNERS], "prompt": "why?"})
    stream.send({"text": first[30:] + ". And"})
    name, early = stream.event()  # before the text has ended
    assert name == "spans"
    stream.send({"text": f" then\n{second}"})
    stream.end()
    *more, (last, whole) = stream.events()
    text = f"{first}. And then\n{second}"
    assert last == "trace"
    assert without_times(whole) == without_times(ask(client, "/v1/trace", text=text, owners=[*OWNERS], prompt="why?"))
    found = [early, *(data for name, data in more if name == "spans")]
    spans = [span for one in found for span in one["spans"]]
    assert spans
    for span in spans:
        assert text[span["start"] : span["end"]] == span["text"]


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), max_size=6))
def test_any_pieces_give_the_trace_of_the_whole(cuts: list[int], client: httpx.Client) -> None:  # noqa: F811
    text = " ".join(manual()[80:84])[:400]
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]
    pieces = [pieces[0] + (pieces[1] if not pieces[0] else ""), *pieces[1 + (not pieces[0]) :]]
    if not pieces[0]:
        return
    stream = Stream(client.base_url)
    for piece in pieces:
        stream.send({"text": piece} | ({"owners": [*OWNERS]} if piece is pieces[0] else {}))
    stream.end()
    *_, (name, whole) = stream.events()
    assert name == "trace"
    assert without_times(whole) == without_times(ask(client, "/v1/trace", text=text, owners=[*OWNERS]))


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="ab .\n", max_size=40), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_what_is_complete_is_told_once_in_order_and_never_taken_back(text: str, cuts: list[int]) -> None:
    def told(edges: list[int]) -> list[tuple[int, str]]:
        stretches = Stretches(".\n")
        return [one for start, end in itertools.pairwise(edges) for one in stretches.add(text[start:end])]

    once = told([0, len(text)])
    assert told([0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]) == once
    end = 0
    for start, stretch in once:
        assert (start, stretch) == (end, text[start : start + len(stretch)])
        assert stretch[-1] in ".\n"
        end = start + len(stretch)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "no line"),
        ([b"nonsense\n"], "Line 1"),
        ([{"text": ""}], "Line 1: text"),
        ([{"text": "a", "owner": "papers"}], "Line 1: owner"),
        ([{"text": "a", "owners": ["nobody"]}], "nobody"),
    ],
)
def test_a_first_line_that_is_wrong_is_refused(client: httpx.Client, lines: list[Any], says: str) -> None:  # noqa: F811
    content = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    response = client.post(PATH, content=content)
    assert says in response.text
    assert response.status_code == 422 or "event: error" in response.text


def test_a_later_line_that_is_wrong_ends_the_stream_with_the_fault(client: httpx.Client) -> None:  # noqa: F811
    response = client.post(PATH, content=b'{"text": "a"}\n{"text": 5}\n')
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "event: error" in response.text
    assert "Line 2" in response.text
    assert "event: trace" not in response.text


def test_a_client_that_goes_away_leaves_the_service_well(client: httpx.Client) -> None:  # noqa: F811
    for _ in range(5):
        stream = Stream(client.base_url)
        stream.send({"text": "The list is sorted. It"})
        stream.close()
    assert client.get("/readyz").status_code == 200
    assert ask(client, "/v1/count", text="the")["count"] > 0


def test_an_owner_left_out_is_in_no_event(client: httpx.Client) -> None:  # noqa: F811
    text = manual()[50] + ". And so on. "
    response = client.post(PATH, content=json.dumps({"text": text, "owners": ["encyclopedia", "python"]}).encode())
    assert "event: trace" in response.text
    assert "papers" not in response.text


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([{"text": "A seal. " * 9}, {"text": "A seal. " * 2500}], "20,000 code points"),
        ([{"text": "A seal"}, b"\n" * (9 << 20)], "bytes are read"),
    ],
)
def test_a_text_or_body_that_is_too_long_is_an_event_before_its_sentences_are_traced(
    lines: list[dict[str, object] | bytes],
    why: str,
    client: httpx.Client,  # noqa: F811
) -> None:
    body = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    answer = client.post(PATH, content=iter([body]))
    *_, last = answer.text.strip().split("\n\n")
    assert last.startswith("event: error")
    assert why in last
    assert answer.text.count("event: spans") <= 9
