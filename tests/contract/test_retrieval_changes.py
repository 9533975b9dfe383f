"""Documents added, updated and deleted over HTTP while the service runs; and a service that is killed in the midst."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from services.retrieval.app import create_app
from services.retrieval.build import build_all
from services.retrieval.settings import RetrievalSettings
from tests.retrieval_support import owner, write_source
from tests.tracing_support import serving

REGISTRY = """
owners:
  - {id: public, name: P, licence: CC0-1.0, contact: c@example.org, public: true}
  - {id: papers, name: Q, licence: MIT, contact: c@example.org}
"""
HERON = "The heron stands in shallow water and waits for fish."
INDEXES = ["compactds", "leann", "bm25", "hybrid"]


@pytest.fixture
def home(tmp_path: Path, candor_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return built(tmp_path, candor_home, monkeypatch)


@pytest.fixture
def client(home: Path) -> Iterator[httpx.Client]:
    with serving(create_app(RetrievalSettings(directory=home / "retrieval"))) as client:
        yield client


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory, candor_home: Path) -> Iterator[httpx.Client]:
    """A service for all that is refused."""
    with pytest.MonkeyPatch.context() as environment:
        home = built(tmp_path_factory.mktemp("home"), candor_home, environment)
        with serving(create_app(RetrievalSettings(directory=home / "retrieval"))) as client:
            yield client


def built(home: Path, candor_home: Path, environment: pytest.MonkeyPatch) -> Path:
    (home / "models").symlink_to(candor_home / "models")
    (home / "owners.yaml").write_text(REGISTRY)
    environment.setenv("CANDOR_OWNERS", str(home / "owners.yaml"))
    write_source(home, "public", ["A lighthouse warns ships off the rocks."])
    write_source(home, "papers", ["Gulls were counted at forty estuaries.", "The ferry runs at noon."])
    build_all(home, [owner("public", public=True), owner("papers")], lambda _: None)
    return home


def add(client: httpx.Client, documents: dict[str, str], **fields: Any) -> Any:
    listed = [{"id": identity, "text": text, **fields} for identity, text in documents.items()]
    response = client.post("/v1/datastores/main/documents", json={"owner": "papers", "documents": listed})
    assert response.status_code == 200, response.text
    return response.json()


def found(client: httpx.Client, query: str, **body: Any) -> list[str]:
    response = client.post("/v1/search", json={"query": query, "owners": ["public", "papers"], "k": 20, **body})
    assert response.status_code == 200, response.text
    return [passage["document"] for passage in response.json()["results"][0]]


@pytest.mark.parametrize("index", INDEXES)
def test_what_was_added_is_in_the_next_search_and_what_was_deleted_in_none(client: httpx.Client, index: str) -> None:
    assert add(client, {"heron": HERON})["added"] == ["heron"]
    assert found(client, "heron fish", index=index)[0] == "heron"
    assert "heron" not in found(client, "heron fish", index=index, owners=["public"])
    path = "/v1/datastores/main/documents/heron"
    assert client.delete(path, params={"owner": "papers"}).json() == {
        "id": "heron",
        "object": "document",
        "deleted": True,
    }
    assert "heron" not in found(client, "heron fish", index=index)
    assert client.get(path, params={"owners": "papers"}).status_code == 404
    assert client.delete(path, params={"owner": "papers"}).status_code == 404


def test_a_document_that_was_built_can_be_written_anew_and_deleted(client: httpx.Client) -> None:
    assert add(client, {"papers-source:0": HERON, "new": "x"})["replaced"] == ["papers-source:0"]
    assert "papers-source:0" in found(client, "heron", index="bm25")
    assert found(client, "gulls counted estuaries", index="bm25") == []
    document = client.get("/v1/datastores/main/documents/papers-source:0", params={"owners": "papers"}).json()
    assert document["text"] == HERON
    assert client.delete("/v1/datastores/main/documents/papers-source:0", params={"owner": "papers"}).is_success
    assert found(client, "heron", index="bm25") == []
    assert found(client, "gulls counted estuaries", index="bm25") == []


@pytest.mark.parametrize("identity", ["mine\n", "mi\nne", "a/b", "../mine", "%0A", "mine\r\n", "\u2028"])
def test_a_document_is_deleted_by_its_own_id_and_no_other(client: httpx.Client, identity: str) -> None:
    add(client, {"mine": HERON, identity: HERON})
    path = f"/v1/datastores/main/documents/{quote(identity, safe='')}"
    assert client.get(path, params={"owners": "papers"}).json()["id"] == identity
    assert client.delete(path, params={"owner": "papers"}).json()["id"] == identity
    assert found(client, "heron", index="bm25") == ["mine"]


def test_metadata_is_kept_and_can_be_asked_for(client: httpx.Client) -> None:
    add(client, {"a": HERON}, metadata={"year": 2020, "open": True}, licence="CC-BY-4.0")
    add(client, {"b": HERON}, metadata={"year": 1990})
    assert found(client, "heron", filter={"metadata.year": {"gte": 2000}}) == ["a"]
    document = client.get("/v1/datastores/main/documents/a", params={"owners": "papers"}).json()
    assert (document["metadata"], document["licence"]) == ({"year": 2020, "open": True}, "CC-BY-4.0")
    assert client.get("/v1/datastores/main/documents/b", params={"owners": "papers"}).json()["licence"] == "MIT"


def test_an_owner_is_dropped_with_all_files_and_is_not_in_the_list(client: httpx.Client, home: Path) -> None:
    add(client, {"heron": HERON})
    assert client.delete("/v1/datastores/main/owners/papers").json()["object"] == "owner"
    assert not (home / "retrieval" / "main" / "papers").exists()
    assert client.get("/v1/datastores").json()["data"][0]["owners"] == ["public"]
    assert found(client, "heron fish") == ["public-source:0"]
    assert client.delete("/v1/datastores/main/owners/papers").status_code == 404


def learnt_anew(client: httpx.Client) -> None:
    """Wait until there is a codebook again after a public owner was dropped."""
    for _ in range(200):
        if not any("codebook" in warning for warning in client.get("/readyz").json()["warnings"]):
            return
        time.sleep(0.1)
    pytest.fail("no codebook was learnt anew")


def test_with_no_owner_left_the_service_starts_says_what_to_do_and_takes_documents(home: Path) -> None:
    settings = RetrievalSettings(directory=home / "retrieval")
    with serving(create_app(settings)) as client:
        for name in ("papers", "public"):
            assert client.delete(f"/v1/datastores/main/owners/{name}").is_success
        assert found(client, "heron") == []
        learnt_anew(client)
    with serving(create_app(settings)) as client:
        (warning,) = client.get("/readyz").json()["warnings"]
        assert warning.startswith("main: it has nothing to search: run `candor data build`, or add documents")
        for index in INDEXES:
            assert found(client, "heron", index=index) == []
        add(client, {"heron": HERON})
        for index in INDEXES:
            assert found(client, "heron", index=index) == ["heron"]


def test_when_it_is_not_known_what_was_deleted_a_change_is_refused_with_what_to_do(
    client: httpx.Client, home: Path
) -> None:
    assert client.delete("/v1/datastores/main/documents/papers-source:0", params={"owner": "papers"}).is_success
    (home / "retrieval" / "main" / "deletions.json").unlink()
    body = {"owner": "papers", "documents": [{"id": "a", "text": "x"}]}
    response = client.post("/v1/datastores/main/documents", json=body)
    assert (response.status_code, response.json()["code"]) == (409, "datastore_not_writable")
    assert "restore it from a copy" in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"owner": "nobody", "documents": [{"id": "a", "text": "x"}]}, "owners"),
        ({"owner": "papers", "documents": []}, "documents"),
        ({"owner": "papers", "documents": [{"id": "a", "text": " "}]}, "documents.0.text"),
        ({"owner": "papers", "documents": [{"id": "", "text": "x"}]}, "documents.0.id"),
        ({"owner": "papers", "documents": [{"id": "a", "text": "x"}, {"id": "a", "text": "y"}]}, "documents.1.id"),
        ({"owner": "papers", "documents": [{"id": "a", "text": "\ud800"}]}, "documents.0.text"),
        ({"owner": "papers", "documents": [{"id": "a", "text": "x", "metadata": {"y": [1]}}]}, "documents.0.metadata"),
        ({"owner": "papers", "documents": [{"id": "a", "text": "x", "owner": "public"}]}, "documents.0.owner"),
        (
            {"owner": "papers", "documents": [{"id": "a", "text": "x", "metadata": {"y": 2**63}}]},
            "documents.0.metadata",
        ),
    ],
)
def test_what_cannot_be_added_is_refused_whole_with_its_place(unchanged: httpx.Client, body: Any, field: str) -> None:
    before = unchanged.get("/v1/datastores").json()
    # as ASCII, which can write a lone surrogate
    headers = {"content-type": "application/json"}
    response = unchanged.post("/v1/datastores/main/documents", content=json.dumps(body), headers=headers)
    assert 400 <= response.status_code < 500
    assert response.json()["field"].startswith(field)
    assert unchanged.get("/v1/datastores").json() == before


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"query": "heron", "filter": {"source": "\ud800"}}, 422, "bad_filter"),
        ({"query": "heron", "datastore": "a" * 5000}, 404, "unknown_datastore"),
        ({"query": "heron " * 50_000, "index": "bm25"}, 422, "input_too_long"),
        ({"queries": ["heron " * 20_000] * 2, "index": "compactds"}, 422, "input_too_long"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(unchanged: httpx.Client, body: Any, status: int, code: str) -> None:
    headers = {"content-type": "application/json"}
    response = unchanged.post("/v1/search", content=json.dumps(body).encode(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_an_unknown_datastore_takes_nothing(unchanged: httpx.Client) -> None:
    body = {"owner": "papers", "documents": [{"id": "a", "text": "x"}]}
    for name in ("atlantis", "..", ".hidden"):
        assert unchanged.post(f"/v1/datastores/{name}/documents", json=body).status_code in (404, 405)


SCRIPT = """
import random, sys
from pathlib import Path
from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.writer import Writer
from tests.retrieval_support import HashingEncoder, owner

home = Path(sys.argv[1])
catalogue = Catalogue(home, HashingEncoder.card)
writer = Writer(home, catalogue, HashingEncoder())
writer.resume("main")
draw = random.Random(int(sys.argv[2]))
for number in range(1000):
    store = catalogue.get("main")
    chosen = sorted(draw.sample(range(9), 3))
    what = draw.choice(["add", "add", "delete", "merge"])
    if what == "merge":
        writer.merge("main", owner("papers"))
        continue
    print("begin", what, number, *chosen, flush=True)
    if what == "add":
        made = [Document(f"papers-source:{each}", f"number {number}", "", "s", "MIT") for each in chosen]
        writer.add(store, owner("papers"), made)
    else:
        writer.delete(store, "papers", f"papers-source:{chosen[0]}")
    print("done", flush=True)
"""


@pytest.mark.parametrize("seed", range(2))
def test_a_writer_killed_at_any_moment_loses_nothing_that_it_said_was_done(tmp_path: Path, seed: int) -> None:
    from tests.retrieval_support import datastore
    from tests.unit.retrieval.test_changes import main, of, opened

    datastore(tmp_path, {"public": ["x"], "papers": ["built 0", "built 1"]})
    expected = {"papers-source:0": "built 0", "papers-source:1": "built 1"}
    draw = random.Random(seed)
    for turn in range(3):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "retrieval"), str(100 * seed + turn)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(draw.randint(2, 40))]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        after = expected
        for line in lines:
            if line.startswith("begin"):
                expected, after = after, done(after, line.split()[1:])
            else:
                expected = after
        shown = of(main(opened(tmp_path)[0]), "papers")
        assert shown in (expected, after)
        expected = shown


def done(before: dict[str, str], words: list[str]) -> dict[str, str]:
    """What is there after an operation that the script said it began."""
    what, number, *chosen = words
    if what == "add":
        return before | {f"papers-source:{each}": f"number {number}" for each in chosen}
    return {identity: text for identity, text in before.items() if identity != f"papers-source:{chosen[0]}"}
