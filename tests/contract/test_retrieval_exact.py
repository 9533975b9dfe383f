"""The retrieval service over HTTP with two encoders: wordllama's vectors find, MiniLM's order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from services.retrieval.app import create_app
from services.retrieval.build import BadExact, build_all
from services.retrieval.encoders.base import Encoder, describe, load
from services.retrieval.settings import RetrievalSettings
from tests.retrieval_support import owner, write_source
from tests.tracing_support import serving

OWNERS = [owner("public", public=True), owner("papers")]
REGISTRY = """
owners:
  - {id: public, name: P, licence: CC0-1.0, contact: c@example.org, public: true}
  - {id: papers, name: Q, licence: MIT, contact: c@example.org}
"""
TEXTS = {
    "public": ["A lighthouse warns ships off the rocks.", "Tides are raised by the moon.", "Bread is baked of flour."],
    "papers": ["Gulls were counted at forty estuaries.", "The ferry runs at noon."],
}
QUERY = "How many places were birds observed at?"


@pytest.fixture
def home(tmp_path: Path, candor_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").symlink_to(candor_home / "models")
    (tmp_path / "owners.yaml").write_text(REGISTRY)
    monkeypatch.setenv("CANDOR_HOME", str(tmp_path))
    monkeypatch.setenv("CANDOR_OWNERS", str(tmp_path / "owners.yaml"))
    monkeypatch.setenv("CANDOR_RETRIEVAL_ENCODER", "wordllama")
    for name, texts in TEXTS.items():
        write_source(tmp_path, name, texts)
    return tmp_path


@pytest.fixture(scope="module")
def minilm(candor_home: Path) -> Encoder:
    return load(describe("minilm", candor_home))


@pytest.fixture
def client(home: Path) -> Iterator[httpx.Client]:
    build_all(home, OWNERS, lambda _: None, exact="minilm")
    with serving(create_app(RetrievalSettings())) as client:
        yield client


def found(client: httpx.Client) -> list[dict[str, Any]]:
    body = {"query": QUERY, "owners": ["public", "papers"], "k": 20}
    response = client.post("/v1/search", json=body)
    assert response.status_code == 200, response.text
    passages: list[dict[str, Any]] = response.json()["results"][0]
    return passages


def as_brute_force(passages: list[dict[str, Any]], encoder: Encoder) -> bool:
    vectors = encoder.encode([passage["text"] for passage in passages])
    scores = vectors @ encoder.encode_queries([QUERY])[0]
    given = [passage["scores"]["exact"] for passage in passages]
    assert given == sorted(given, reverse=True)
    return bool(np.allclose(given, scores, atol=0.01))


def test_exact_scores_are_the_second_encoder_s_and_candidates_the_first_s(
    client: httpx.Client, minilm: Encoder
) -> None:
    passages = found(client)
    assert len(passages) == 5
    assert as_brute_force(passages, minilm)
    wordllama = load(describe("wordllama", Path()))
    scores = wordllama.encode([passage["text"] for passage in passages]) @ wordllama.encode_queries([QUERY])[0]
    assert np.allclose([passage["scores"]["ann"] for passage in passages], scores, atol=0.01)


def test_what_is_added_has_both_and_both_are_listed_with_their_licences(client: httpx.Client, minilm: Encoder) -> None:
    document = {"id": "heron", "text": "Herons were seen at nine lakes."}
    body = {"owner": "papers", "documents": [document]}
    assert client.post("/v1/datastores/main/documents", json=body).is_success
    assert "heron" in {passage["document"] for passage in found(client)}
    assert as_brute_force(found(client), minilm)
    (shown,) = client.get("/v1/datastores").json()["data"]
    assert [(each["name"], each["dimension"], each["licence"]) for each in shown["encoders"].values()] == [
        ("wordllama", 256, "MIT"),
        ("minilm", 384, "Apache-2.0"),
    ]
    assert shown["encoders"].keys() == {"ann", "exact"}
    assert {segment["exact"] for segment in shown["segments"]} == {"minilm"}
    assert shown["warnings"] == []


def test_a_service_that_runs_takes_up_a_second_encoder_and_lets_go_of_it(home: Path, minilm: Encoder) -> None:
    build_all(home, OWNERS, lambda _: None)
    with serving(create_app(RetrievalSettings())) as client:
        assert not as_brute_force_unordered(found(client), minilm)
        build_all(home, OWNERS, lambda _: None, exact="minilm")
        assert as_brute_force(found(client), minilm)
        build_all(home, OWNERS, lambda _: None)  # the datastore has one: it stays
        assert as_brute_force(found(client), minilm)
        build_all(home, OWNERS, lambda _: None, exact="none")
        assert not as_brute_force_unordered(found(client), minilm)


def as_brute_force_unordered(passages: list[dict[str, Any]], encoder: Encoder) -> bool:
    scores = encoder.encode([passage["text"] for passage in passages]) @ encoder.encode_queries([QUERY])[0]
    return bool(np.allclose([passage["scores"]["exact"] for passage in passages], scores, atol=0.01))


def test_an_encoder_that_is_not_there_or_is_the_first_is_refused(home: Path) -> None:
    with pytest.raises(BadExact, match="finds the candidates already"):
        build_all(home, OWNERS, lambda _: None, exact="wordllama")
    with pytest.raises(FileNotFoundError, match="'nosuch'"):
        build_all(home, OWNERS, lambda _: None, exact="nosuch")
    assert not (home / "retrieval" / "main" / "layout.json").exists()


def test_a_service_without_the_second_encoder_says_what_to_do(home: Path) -> None:
    build_all(home, OWNERS, lambda _: None, exact="minilm")
    (home / "models").unlink()
    with serving(create_app(RetrievalSettings())) as client:
        assert "--exact none" in client.get("/readyz").text


def test_a_datastore_whose_second_encoder_went_is_refused_with_what_to_do(home: Path, candor_home: Path) -> None:
    build_all(home, OWNERS, lambda _: None)
    with serving(create_app(RetrievalSettings())) as client:
        build_all(home, OWNERS, lambda _: None, exact="minilm")
        (home / "models").unlink()
        for path, body in {
            "/v1/search": {"query": QUERY},
            "/v1/datastores/main/documents": {"owner": "papers", "documents": [{"id": "a", "text": "x"}]},
        }.items():
            response = client.post(path, json=body)
            assert response.status_code == 503
            assert "--exact none" in response.json()["detail"]
