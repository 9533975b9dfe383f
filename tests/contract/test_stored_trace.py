"""A stored trace when it is read again: what its documents' owners have taken back since is not in it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.pipeline.stored import still_shown
from services.tracing.app import create_app
from services.tracing.index.build import build_all
from services.tracing.settings import tokenizer_in
from shared.clients.base import ServiceError
from shared.clients.tracing import TracingClient
from shared.contracts.candor import AnswerTrace
from shared.contracts.gateway import StoredTrace
from tests.tracing_support import owner, serving, train_tokenizer, without_blocked, write_texts

TEXT = "They say the harbour of Emden freezes in hard winters, and the HARBOUR of Emden, it freezes in hard winters."
TEXTS = [
    f"It is said that the harbour of Emden freezes in hard winters, {how}." for how in ("often", "seldom", "always")
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    train_tokenizer(tokenizer_in(tmp_path))
    write_texts(tmp_path / "texts" / "papers" / "manual.jsonl", "papers", TEXTS)
    build_all(tmp_path, [owner("papers", public=True)], lambda _: None)
    return tmp_path


@pytest.fixture
def client(home: Path) -> Iterator[httpx.Client]:
    with serving(create_app(without_blocked(home))) as client:
        yield client


def test_what_was_deleted_or_blocked_since_is_not_shown(client: httpx.Client, home: Path) -> None:
    stored = traced(client)
    assert ids(stored) == {"manual:papers-0", "manual:papers-1", "manual:papers-2"}
    assert stored.trace.approximate
    address = str(client.base_url)
    assert read(stored, address) == stored
    client.delete("/v1/corpora/papers/documents/manual:papers-1").raise_for_status()
    assert ids(read(stored, address)) == {"manual:papers-0", "manual:papers-2"}
    (home / "blocked.jsonl").write_text(json.dumps({"id": "manual:papers-0"}) + "\n")
    assert ids(read(stored, address)) == {"manual:papers-2"}
    client.delete("/v1/corpora/papers").raise_for_status()
    left = read(stored, address)
    assert ids(left) == set()
    assert [(span.text, span.count) for span in left.trace.spans] == [
        (span.text, span.count) for span in stored.trace.spans
    ]
    assert (left.trace.documents, left.trace.approximate) == ([], [])


def test_nothing_is_shown_that_cannot_be_asked_for(client: httpx.Client) -> None:
    stored = traced(client)
    with pytest.raises(ServiceError):
        read(stored, "http://127.0.0.1:9")


def traced(client: httpx.Client) -> StoredTrace:
    body = {"text": TEXT, "max_spans": 20, "approximate": True, "min_words": 5, "similarity": 0.5}
    answer = client.post("/v1/trace", json=body).raise_for_status().json()
    parts = {name: answer[name] for name in ("corpora", "spans", "documents", "approximate")}
    return StoredTrace(id="trace-1", text=TEXT, trace=AnswerTrace(id="trace-1", **parts))


def ids(stored: StoredTrace) -> set[str]:
    """Of all documents that a trace names anywhere."""
    trace = stored.trace
    matches = [match.id for span in trace.spans for match in span.documents]
    return {*matches, *(document.id for document in trace.documents), *(span.id for span in trace.approximate)}


def read(stored: StoredTrace, address: str) -> StoredTrace:
    async def once() -> StoredTrace:
        tracing = TracingClient(address)
        try:
            return await still_shown(stored, tracing)
        finally:
            await tracing.close()

    return asyncio.run(once())
