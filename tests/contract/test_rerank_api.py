"""`/v1/rerank` over HTTP: the real app and encoder, on a datastore of two documents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from services.retrieval.app import create_app
from services.retrieval.build import build_all
from services.retrieval.encoders.base import describe, load
from services.retrieval.settings import RetrievalSettings
from tests.retrieval_support import owner, write_source
from tests.tracing_support import serving

QUERY = "How do I open a file?"
DOCUMENTS = ["The cat sleeps in the sun.", "Reading files with open()", "Ships sail the sea.", "Close the file."]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, candor_home: Path) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(candor_home / "models")
    write_source(home, "python", ["Files are opened with open().", "Files are closed with close()."])
    build_all(home, [owner("python", public=True)], lambda _: None)
    with serving(create_app(RetrievalSettings(directory=home / "retrieval"))) as client:
        yield client


def rerank(client: httpx.Client, **body: object) -> Any:
    response = client.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS, **body})
    assert response.status_code == 200, response.text
    return response.json()


def test_documents_come_in_the_order_of_the_exact_score(client: httpx.Client, candor_home: Path) -> None:
    encoder = load(describe("minilm", candor_home))
    scores = np.array([float(encoder.encode([text])[0] @ encoder.encode([QUERY])[0]) for text in DOCUMENTS])
    answer = rerank(client)
    assert [result["index"] for result in answer["results"]] == np.argsort(-scores).tolist()
    for result in answer["results"]:
        assert result["relevance_score"] == pytest.approx(scores[result["index"]], abs=0.02)
        assert "document" not in result
    assert answer["usage"]["total_tokens"] == sum(encoder.count([QUERY, *DOCUMENTS]))


def test_documents_may_be_objects_and_are_returned_when_asked_for(client: httpx.Client) -> None:
    answer = rerank(client, documents=[{"text": text} for text in DOCUMENTS], top_n=2, return_documents=True)
    assert [result["document"]["text"] for result in answer["results"]] == [DOCUMENTS[1], DOCUMENTS[3]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "other"}, "model"),
        ({"query": " "}, "query"),
        ({"documents": ["a", " "]}, "documents.1"),
        ({"documents": ["word " * 2000]}, "documents.0"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_its_field(client: httpx.Client, body: Any, field: str) -> None:
    response = client.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS, **body})
    assert response.status_code in (404, 422)
    assert response.json()["field"] == field
