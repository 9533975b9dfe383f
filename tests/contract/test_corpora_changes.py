"""Adding and deleting documents of corpora over HTTP, and the takedown list."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.tracing.app import create_app
from services.tracing.index.build import build_all
from services.tracing.settings import tokenizer_in
from tests.tracing_support import manual, owner, serving, train_tokenizer, without_blocked, write_texts

DOCUMENTS = "/v1/corpora/papers/documents"
OWNERS = [owner("papers", public=True), owner("news", public=True)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    train_tokenizer(tokenizer_in(tmp_path))
    for number, name in enumerate(("papers", "news")):
        write_texts(tmp_path / "texts" / name / "manual.jsonl", name, manual()[20 * number : 20 * number + 20])
    build_all(tmp_path, OWNERS, lambda _: None)
    return tmp_path


@pytest.fixture
def client(home: Path) -> Iterator[httpx.Client]:
    with serving(create_app(without_blocked(home))) as client:
        yield client


def add(client: httpx.Client, **texts: str) -> Any:
    body = {"documents": [{"id": identity, "text": text} for identity, text in texts.items()]}
    response = client.post(DOCUMENTS, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def count(client: httpx.Client, text: str) -> int:
    response = client.post("/v1/count", json={"text": text})
    assert response.status_code == 200, response.text
    return int(response.json()["count"])


def test_what_is_added_replaced_and_deleted_is_so_in_the_next_answer_and_after_a_build(
    client: httpx.Client, home: Path
) -> None:
    first = add(client, heron="The heron quetzals at dawn.", crane="The crane quetzals.")
    assert (first["owner"], first["added"], first["replaced"]) == ("papers", ["heron", "crane"], [])
    assert count(client, "quetzals") == 2
    assert add(client, heron="The heron sleeps.")["replaced"] == ["heron"]
    assert count(client, "quetzals") == 1
    document = client.get(f"{DOCUMENTS}/heron").json()
    assert (document["text"], document["licence"]) == ("The heron sleeps.", "PSF-2.0")
    assert client.delete(f"{DOCUMENTS}/crane").json() == {"id": "crane", "object": "document", "deleted": True}
    assert client.delete(f"{DOCUMENTS}/manual:papers-0").status_code == 200
    (home / "texts" / "papers" / "more.jsonl").write_text('{"id": "more", "text": "More quetzals."}\n')
    build_all(home, OWNERS, lambda _: None)
    assert count(client, "quetzals") == 1
    for gone in ("crane", "manual:papers-0"):
        assert client.get(f"{DOCUMENTS}/{gone}").status_code == 404
        assert client.delete(f"{DOCUMENTS}/{gone}").json()["code"] == "unknown_document"
    listed = [client.get(DOCUMENTS, params={"offset": at, "limit": 8}).json() for at in (0, 8, 16)]
    ids = [one["id"] for page in listed for one in page["data"]]
    expected = {*(f"manual:papers-{number}" for number in range(1, 20)), "heron", "more"}
    assert (len(ids), set(ids), listed[0]["total"]) == (21, expected, 21)


def test_a_deleted_corpus_is_gone_with_its_files_until_a_build_is_told_to_restore_it(
    client: httpx.Client, home: Path
) -> None:
    assert client.delete("/v1/corpora/papers").json() == {"id": "papers", "object": "corpus", "deleted": True}
    assert [corpus["id"] for corpus in client.get("/v1/corpora").json()["data"]] == ["news"]
    assert not [path for path in (home / "tracing" / "papers").iterdir() if path.is_dir()]
    assert client.delete("/v1/corpora/papers").json()["code"] == "unknown_corpus"
    said: list[str] = []
    build_all(home, OWNERS, said.append)
    assert any("--restore papers" in line for line in said)
    assert client.get(f"{DOCUMENTS}/manual:papers-1").status_code == 404
    build_all(home, OWNERS, said.append, ["papers"])
    assert client.get(f"{DOCUMENTS}/manual:papers-1").status_code == 200


@pytest.mark.parametrize(
    ("documents", "code"),
    [
        ([], "invalid_request"),
        ([{"id": "a", "text": " \n"}], "empty_document"),
        ([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}], "same_id"),
        ([{"id": "a", "text": "\ud800"}], "invalid_request"),
    ],
)
def test_what_cannot_be_added_is_refused_by_its_place(
    documents: list[dict[str, str]], code: str, client: httpx.Client
) -> None:
    content = json.dumps({"documents": documents})
    response = client.post(DOCUMENTS, content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (422, code) or response.status_code == 400
    assert response.json()["field"].startswith("documents")


def test_a_corpus_that_there_is_not_cannot_be_changed(client: httpx.Client) -> None:
    for response in (
        client.post("/v1/corpora/none/documents", json={"documents": [{"id": "a", "text": "b"}]}),
        client.delete("/v1/corpora/none/documents/a"),
        client.delete("/v1/corpora/none"),
        # names that no folder can have
        client.delete(f"/v1/corpora/{'n' * 300}/documents/a"),
        client.delete(f"/v1/corpora/{'n' * 300}"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "unknown_corpus")


@pytest.mark.parametrize("key", ["id", "url", "sha256"])
def test_a_blocked_document_is_in_no_answer_also_one_added_later(key: str, client: httpx.Client, home: Path) -> None:
    text = "The heron quetzals at dawn."
    values = {"id": "heron", "url": "https://x/heron", "sha256": hashlib.sha256(text.encode()).hexdigest()}
    body = {"documents": [{"id": "heron", "text": text, "url": values["url"]}, {"id": "b", "text": "Two quetzals."}]}
    (home / "blocked.jsonl").write_text(json.dumps({key: values[key], "corpus": "papers"}) + "\n")
    assert client.post(DOCUMENTS, json=body).status_code == 200
    assert count(client, "quetzals") == 1
    assert client.get(f"{DOCUMENTS}/heron").status_code == 404
    assert "heron" not in [one["id"] for one in client.get(DOCUMENTS).json()["data"]]
    found = client.post("/v1/find", json={"text": "quetzals"}).json()
    assert [one["id"] for one in found["occurrences"]] == ["b"]
    traced = client.post("/v1/trace", json={"text": text, "max_spans": 50}).json()
    assert "heron" not in [one["id"] for span in traced["spans"] for one in span["documents"]]
    (home / "blocked.jsonl").write_text(json.dumps({key: values[key], "corpus": "news"}) + "\n")
    assert count(client, "quetzals") == 2


def test_a_hash_blocks_in_capitals_too_and_one_that_is_none_is_not_taken(client: httpx.Client, home: Path) -> None:
    add(client, heron="The heron quetzals at dawn.")
    digest = hashlib.sha256(b"The heron quetzals at dawn.").hexdigest()
    (home / "blocked.jsonl").write_text(json.dumps({"sha256": digest.upper()}) + "\n")
    assert count(client, "quetzals") == 0
    for none in (digest[:-1], f" {digest}", f"sha256:{digest}", ""):
        (home / "blocked.jsonl").write_text(json.dumps({"sha256": none}) + "\n")
        refused = client.post("/v1/count", json={"text": "quetzals"})
        assert (refused.status_code, "line 1" in refused.json()["detail"]) == (503, True)


def test_nothing_is_shown_while_the_takedown_list_is_broken(client: httpx.Client, home: Path) -> None:
    (home / "blocked.jsonl").write_text('{"id": "a"}\n{"id": "a", "url": "b"}\n')
    refused = client.post("/v1/count", json={"text": "the"})
    assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
    assert "line 2" in refused.json()["detail"]
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert "line 2" in ready.json()["phase"]
    (home / "blocked.jsonl").unlink()
    assert client.post("/v1/count", json={"text": "the"}).status_code == 503
    (home / "blocked.jsonl").write_text('{"id": "a"}\n')
    assert count(client, "the")
    assert client.get("/readyz").status_code == 200
