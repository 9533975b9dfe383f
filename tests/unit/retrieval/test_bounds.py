"""How much one request may ask for: what is more is refused at once, with the limit and what to do."""

from typing import Any

import pytest

from services.retrieval.datastore.build import build
from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.manifest import INDEXES
from services.retrieval.errors import TooManyTokens, TooMuchWork
from services.retrieval.service import Retrieval
from shared.contracts.rerank import RerankRequest
from shared.contracts.retrieval import EmbeddingRequest, SearchRequest
from tests.retrieval_support import HashingEncoder, owner, write_source


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Retrieval]:
    """With vectors on disk, and without."""
    made = {}
    for name, indexes in (("stored", INDEXES), ("unstored", ("leann", "bm25"))):
        home = tmp_path_factory.mktemp(name)
        write_source(home, "public", ["the ant", "the bee"])
        owners = [owner("public", public=True)]
        build(home, owners, HashingEncoder.card, HashingEncoder, lambda _: None, indexes=indexes)
        made[name] = Retrieval(HashingEncoder(), Catalogue(home / "retrieval", HashingEncoder.card), ["public"])
    return made


@pytest.mark.parametrize(
    ("which", "queries", "body", "field", "advice"),
    [
        (
            "stored",
            256,
            {"index": "leann", "recompute": 1000},
            "recompute",
            "at most 2,000 in one request. Set `recompute` to 7",
        ),
        ("stored", 41, {"index": "leann"}, "recompute", "41 queries with recompute = 50 may embed 2,050 passages"),
        ("unstored", 5, {"index": "leann", "recompute": 5, "k": 500}, "k", "Set `k` to 400 or less"),
        ("unstored", 21, {"index": "bm25", "diversity": 0.5}, "candidates", "may embed 2,100 passages"),
        ("unstored", 1, {"index": "bm25", "diversity": 0.5, "candidates": 10_000}, "candidates", "to 2,000 or less"),
        ("stored", 21, {"index": "hybrid", "candidates": 10_000}, "candidates", "may score 210,000 passages"),
    ],
)
def test_what_would_take_minutes_is_refused_at_once_and_told_what_to_do(
    *, services: dict[str, Retrieval], which: str, queries: int, body: dict[str, Any], field: str, advice: str
) -> None:
    request = SearchRequest(queries=["ant"] * queries, **body)
    for call in (services[which].search, services[which].owners):  # the latter before the model is asked
        with pytest.raises(TooMuchWork, match=advice) as refusal:
            call(request)
        assert refusal.value.field == field


@pytest.mark.parametrize(
    ("which", "queries", "body"),
    [
        ("stored", 256, {}),
        ("stored", 256, {"index": "bm25", "diversity": 0.5}),
        ("stored", 2, {"index": "leann", "recompute": 1000}),
        ("unstored", 20, {"index": "bm25", "diversity": 0.5}),
        ("unstored", 256, {"index": "bm25"}),
    ],
)
def test_what_takes_seconds_is_answered(
    services: dict[str, Retrieval], which: str, queries: int, body: dict[str, Any]
) -> None:
    assert len(services[which].search(SearchRequest(queries=["ant"] * queries, **body)).results) == queries


def test_texts_are_embedded_up_to_a_number_of_tokens(services: dict[str, Retrieval]) -> None:
    texts = ["ant " * 500] * 601
    with pytest.raises(TooManyTokens, match="input has 300,500 tokens in all; at most 300,000"):
        services["stored"].embed(EmbeddingRequest(model="hashing", input=texts))
    with pytest.raises(TooManyTokens, match="documents has 300,501 tokens"):
        services["stored"].rerank(RerankRequest(model="hashing", query="ant", documents=texts))
