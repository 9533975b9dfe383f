"""The retrieval service over HTTP: the real app and encoder, on a datastore of CPython's own documentation."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import httpx
import numpy as np
import pytest
from openai import NotFoundError, OpenAI

from services.retrieval.app import create_app
from services.retrieval.build import build_all
from services.retrieval.leann.codebook import FILE as CODEBOOK
from services.retrieval.settings import RetrievalSettings
from tests.retrieval_support import owner, write_source
from tests.tracing_support import serving

NAMES = sorted(topics)
PARTS = {"encyclopedia": NAMES[:6], "papers": NAMES[6:12], "python": NAMES[12:18]}
INDEXES = ["compactds", "leann", "bm25", "hybrid"]


def text_of(topic: str) -> str:
    return topics[topic][:4000]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, candor_home: Path) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(candor_home / "models")
    for name, part in PARTS.items():
        write_source(home, name, [text_of(topic) for topic in part])
    build_all(home, [owner(name, public=name == "encyclopedia") for name in PARTS], lambda _: None)
    return home


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[httpx.Client]:
    settings = RetrievalSettings(directory=home / "retrieval")
    with serving(create_app(settings)) as client:
        yield client


def search(client: httpx.Client, **body: object) -> Any:
    response = client.post("/v1/search", json=body)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("index", INDEXES)
def test_the_passage_that_answers_is_found_by_every_index(client: httpx.Client, index: str) -> None:
    topic = PARTS["python"][2]
    query = " ".join(text_of(topic).split()[40:60])
    found = search(client, query=query, index=index, owners=["encyclopedia", "papers", "python"], k=3)
    assert found["index"] == index
    assert found["results"][0][0]["document"] == "python-source:2"


def test_a_passage_says_whose_it_is_and_where_it_stands(client: httpx.Client) -> None:
    (passages,) = search(client, query="how are attributes looked up?", owners=["papers"], k=20)["results"]
    assert passages
    for passage in passages:
        document = client.get(
            f"/v1/datastores/main/documents/{passage['document']}", params={"owners": "papers"}
        ).json()
        assert passage["text"] == document["text"][passage["start"] : passage["end"]]
        assert (passage["owner"], passage["licence"], passage["source"]) == ("papers", "CC0-1.0", "source")
        assert passage["title"] == document["title"]


@pytest.mark.parametrize(
    ("index", "stages"),
    [
        ("compactds", {"ann", "exact"}),
        ("leann", {"ann", "exact"}),
        ("bm25", {"bm25"}),
        ("hybrid", {"ann", "exact", "bm25", "fused"}),
    ],
)
def test_scores_and_timings_tell_the_stages(client: httpx.Client, index: str, stages: set[str]) -> None:
    found = search(client, query="the with statement and its context manager", index=index)
    (passages,) = found["results"]
    scored = {stage for passage in passages for stage, score in passage["scores"].items() if score is not None}
    assert scored == stages
    parts = sum(time for stage, time in found["timings"].items() if stage != "total")
    assert 0 < parts <= found["timings"]["total"]


@pytest.mark.parametrize("index", INDEXES)
def test_many_queries_are_answered_each_as_it_would_be_alone(client: httpx.Client, index: str) -> None:
    queries = ["assert statement", "what is a slice?", "assert statement"]
    together = search(client, queries=queries, index=index, k=4)["results"]
    alone = [search(client, query=query, index=index, k=4)["results"][0] for query in queries]
    assert [[p["id"] for p in passages] for passages in together] == [[p["id"] for p in passages] for passages in alone]


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("owners", [["papers"], ["python", "encyclopedia"], []])
def test_only_passages_of_the_owners_sent_come_back(client: httpx.Client, index: str, owners: list[str]) -> None:
    found = search(client, query="names and objects in a module", index=index, owners=owners, k=100)
    assert set(found["owners"]) == set(owners)
    assert {passage["owner"] for passage in found["results"][0]} == set(owners)


def test_without_owners_only_public_data_is_searched(client: httpx.Client) -> None:
    found = search(client, query="names and objects in a module", k=100)
    assert found["owners"] == ["encyclopedia"]
    assert {passage["owner"] for passage in found["results"][0]} == {"encyclopedia"}


def test_an_owner_of_the_registry_without_data_is_a_warning(client: httpx.Client) -> None:
    found = search(client, query="names", owners=["news", "papers"])
    assert found["owners"] == ["papers"]
    assert found["warnings"] == ["datastore 'main' has nothing of owner 'news'"]


@pytest.mark.parametrize("index", INDEXES)
def test_leaving_an_owner_out_equals_a_service_built_without_them(
    client: httpx.Client, home: Path, tmp_path: Path, index: str
) -> None:
    kept = ["encyclopedia", "python"]
    for name in kept:
        (tmp_path / "main").mkdir(exist_ok=True)
        (tmp_path / "main" / name).symlink_to(home / "retrieval" / "main" / name)
    (tmp_path / "main" / CODEBOOK).symlink_to(home / "retrieval" / "main" / CODEBOOK)
    body = {"queries": ["what does import do?", "numbers", "class body"], "owners": kept, "index": index, "k": 30}
    settings = RetrievalSettings(directory=tmp_path)
    with serving(create_app(settings)) as without:
        never_there = search(without, **body)
    left_out = search(client, **body)
    assert left_out["results"] == never_there["results"]
    assert left_out["owners"] == never_there["owners"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"query": "x", "owners": ["nobody"]}, 404, "owners"),
        ({"query": "x", "owners": ["No Body"]}, 422, "owners.0"),
        ({"query": "x", "datastore": "mian"}, 404, "datastore"),
        ({"query": "x", "index": "hnsw"}, 422, "index"),
        ({"query": "x", "index": "leann", "recompute": 0}, 422, "recompute"),
        ({"query": "x", "index": "leann", "recompute": 1001}, 422, "recompute"),
        ({"query": "x", "index": "leann", "recall": 0}, 422, "recall"),
        ({"query": "x", "index": "leann", "recall": 1.1}, 422, "recall"),
        ({"query": "x", "k": 0}, 422, "k"),
        ({"query": "x", "k": 1001}, 422, "k"),
        ({"queries": ["x"] * 6, "k": 1000}, 422, "k"),
        ({"query": "x", "candidates": 0}, 422, "candidates"),
        ({"query": "x", "nprobe": 0}, 422, "nprobe"),
        ({"query": ""}, 422, "query"),
        ({"query": " \n"}, 422, "query"),
        ({"queries": ["x", "\t"]}, 422, "queries.1"),
        ({"query": "x", "rerank": "llm"}, 422, "rerank"),
        ({"query": "x", "rewrite": True}, 422, "rewrite"),
        ({"query": 7}, 422, "query"),
    ],
)
def test_bad_input_is_refused_with_the_name_of_the_field(
    client: httpx.Client, body: dict[str, object], status: int, field: str
) -> None:
    response = client.post("/v1/search", json=body)
    assert (response.status_code, response.json()["field"]) == (status, field)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("body", [{}, {"query": "x", "queries": ["y"]}, {"queries": []}])
def test_one_query_or_several_are_asked_for_but_not_none_or_both(client: httpx.Client, body: dict[str, object]) -> None:
    assert client.post("/v1/search", json=body).status_code == 422


def test_a_body_that_is_no_json_is_refused(client: httpx.Client) -> None:
    response = client.post("/v1/search", content=b'{"query":', headers={"content-type": "application/json"})
    assert response.status_code == 400


def test_a_query_longer_than_the_encoder_reads_is_searched_with_a_warning(client: httpx.Client) -> None:
    found = search(client, query="slice " * 600, k=1)
    assert found["warnings"] == ["query 0 has 602 tokens; the encoder read the first 512"]
    assert len(found["results"][0]) == 1


def test_the_list_of_datastores_says_what_is_in_them(client: httpx.Client) -> None:
    (main,) = client.get("/v1/datastores").json()["data"]
    assert (main["id"], main["owners"], main["documents"]) == ("main", ["encyclopedia", "papers", "python"], 18)
    assert main["encoder"] == "minilm"
    assert main["passages"] == sum(segment["passages"] for segment in main["segments"])
    assert [segment["public"] for segment in main["segments"]] == [True, False, False]
    assert {segment["dimension"] for segment in main["segments"]} == {384}
    assert main["segments"][0]["drift"] == pytest.approx(1)
    assert all(0.5 < segment["drift"] < 2 for segment in main["segments"])


def test_a_document_is_given_to_its_owners_only(client: httpx.Client) -> None:
    path = "/v1/datastores/main/documents/papers-source:0"
    assert client.get(path, params={"owners": "papers"}).json()["text"] == text_of(PARTS["papers"][0])
    # as if it did not exist: that it does is the owner's to tell
    for owners in (None, "python"):
        assert client.get(path, params={"owners": owners} if owners else None).status_code == 404
    assert client.get("/v1/datastores/main/documents/encyclopedia-source:0").status_code == 200
    assert client.get("/v1/datastores/none/documents/x").json()["field"] == "datastore"


def test_a_damaged_segment_is_left_out_and_readiness_says_so(home: Path, tmp_path: Path) -> None:
    for name in ("encyclopedia", "papers"):
        folder = tmp_path / "main" / name / "source"
        folder.mkdir(parents=True)
        for path in (home / "retrieval" / "main" / name / "source").iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
    (tmp_path / "main" / CODEBOOK).write_bytes((home / "retrieval" / "main" / CODEBOOK).read_bytes())
    vectors = tmp_path / "main" / "papers" / "source" / "vectors.npy"
    vectors.write_bytes(vectors.read_bytes()[:-10])
    settings = RetrievalSettings(directory=tmp_path)
    with serving(create_app(settings)) as client:
        ready = client.get("/readyz")
        assert ready.status_code == 200
        (warning,) = ready.json()["warnings"]
        assert warning.startswith("main: segment papers/source: vectors.npy is damaged")
        assert search(client, query="x", owners=["papers"])["results"] == [[]]


def test_leann_says_how_many_passages_it_embedded_again_and_never_more_than_asked(client: httpx.Client) -> None:
    body = {"queries": ["what is a slice?", "assert"], "owners": [*PARTS], "index": "leann", "k": 3}
    passages = sum(datastore["passages"] for datastore in client.get("/v1/datastores").json()["data"])
    for limit, expected in ((1, {3}), (5, {3, 5}), (1000, {passages})):
        found = search(client, **body, recompute=limit, recall=1 if limit == 1000 else 0.95)
        assert set(found["recomputed"]) <= expected
    assert search(client, query="slice")["recomputed"] is None


def test_leann_with_every_passage_embedded_again_answers_as_exact_search_does(client: httpx.Client) -> None:
    body = {"query": "how are attributes looked up?", "owners": [*PARTS], "k": 10}
    exact = search(client, **body, index="compactds", candidates=1000)["results"][0]
    leann = search(client, **body, index="leann", recompute=1000, recall=1)["results"][0]
    # vectors on disk are rounded to 16 bits, and those embedded again are not
    for one, other in zip(exact, leann, strict=True):
        assert abs(one["scores"]["exact"] - other["scores"]["exact"]) < 2e-3
    assert len({passage["id"] for passage in exact} & {passage["id"] for passage in leann}) >= 9


def test_without_a_codebook_leann_is_refused_and_readiness_says_why(home: Path, tmp_path: Path) -> None:
    (tmp_path / "main").mkdir()
    (tmp_path / "main" / "papers").symlink_to(home / "retrieval" / "main" / "papers")
    with serving(create_app(RetrievalSettings(directory=tmp_path))) as client:
        (warning,) = client.get("/readyz").json()["warnings"]
        assert warning.startswith("main: there is no codebook; the index `leann` is without it")
        refused = client.post("/v1/search", json={"query": "x", "owners": ["papers"], "index": "leann"})
        assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (
            422,
            "index_not_built",
            "index",
        )
        (main,) = client.get("/v1/datastores").json()["data"]
        assert main["indexes"] == ["compactds", "bm25", "hybrid"]
        assert search(client, query="x", owners=["papers"])["results"][0]


def test_without_a_datastore_the_service_says_what_to_do(home: Path, tmp_path: Path) -> None:
    with serving(create_app(RetrievalSettings(directory=tmp_path))) as client:
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert "candor data build" in ready.json()["phase"]
        assert client.post("/v1/search", json={"query": "x"}).status_code == 503


def test_openai_python_gets_vectors_of_length_one(client: httpx.Client) -> None:
    openai = OpenAI(base_url=f"{client.base_url}/v1", api_key="none")
    texts = ["open a file", "reading files", "the sea"]
    answer = openai.embeddings.create(model="minilm", input=texts)
    vectors = np.array([item.embedding for item in answer.data])
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert answer.usage.prompt_tokens > 8
    with pytest.raises(NotFoundError):
        openai.embeddings.create(model="ada", input="x")


def test_base64_and_floats_are_the_same_vector(client: httpx.Client) -> None:
    answers = [
        client.post("/v1/embeddings", json={"model": "minilm", "input": "x", "encoding_format": form}).json()
        for form in ("float", "base64")
    ]
    floats, text = (answer["data"][0]["embedding"] for answer in answers)
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(text), "<f4"), floats, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"input": "x", "dimensions": 128}, 400, "dimensions"),
        ({"input": ["x", "word " * 600]}, 400, "input.1"),
        ({"input": "word " * 600}, 400, "input"),
        ({"input": "x", "model": "ada"}, 404, "model"),
    ],
)
def test_bad_embedding_requests_get_openais_error_object(
    client: httpx.Client, body: dict[str, object], status: int, field: str
) -> None:
    response = client.post("/v1/embeddings", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (status, field)


def test_the_interface_documents_its_errors(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) >= {"/v1/search", "/v1/datastores", "/v1/embeddings"}
    assert {"404", "422", "429", "503"} <= set(paths["/v1/search"]["post"]["responses"])
    assert json.dumps(paths)


def test_passages_can_be_filtered_by_what_is_known_of_their_documents(client: httpx.Client) -> None:
    wanted = {"title": ["Title 1", "Title 2"], "licence": "CC0-1.0"}
    for index in INDEXES:
        (found,) = search(client, query="attribute", index=index, k=50, owners=["papers"], filter=wanted)["results"]
        assert {passage["document"] for passage in found} <= {"papers-source:1", "papers-source:2"}
        assert found or index == "bm25"
    (nothing,) = search(client, query="attribute", filter={"source": "elsewhere"})["results"]
    assert nothing == []


def test_a_filter_never_reaches_another_owners_passages(client: httpx.Client) -> None:
    everything = {"any": [{"source": {"exists": True}}, {"not": {"source": "source"}}]}
    (found,) = search(client, query="attribute", k=100, owners=["papers"], filter=everything)["results"]
    assert {passage["owner"] for passage in found} == {"papers"}
    response = client.post("/v1/search", json={"query": "x", "filter": {"owner": "papers"}})
    assert (response.status_code, response.json()["field"]) == (422, "filter.owner")


def test_diverse_passages_and_a_least_score_can_be_asked_for(client: httpx.Client) -> None:
    plain = search(client, query="attribute", k=5)["results"][0]
    diverse = search(client, query="attribute", k=5, diversity=0.9)
    assert diverse["timings"]["diversity"] > 0
    assert [each["id"] for each in diverse["results"][0]] != [each["id"] for each in plain]
    least = plain[1]["scores"]["exact"]
    assert len(search(client, query="attribute", k=5, min_score=least)["results"][0]) == 2
    assert client.post("/v1/search", json={"query": "x", "diversity": 2}).json()["field"] == "diversity"


@pytest.mark.parametrize("path", ["/v1/datastores", "/v1/datastores/main/documents/papers-source:0"])
def test_an_unknown_parameter_in_the_address_is_refused_and_named(client: httpx.Client, path: str) -> None:
    refused = client.get(path, params={"owners": "papers", "exclude": "papers"} if "documents" in path else {"x": 1})
    assert (refused.status_code, refused.json()["field"]) == (422, "exclude" if "documents" in path else "x")
    assert client.post("/v1/search?exclude=papers", json={"query": "x"}).json()["field"] == "exclude"


def test_a_body_larger_than_the_service_reads_is_refused_and_every_status_sent_is_documented(
    client: httpx.Client,
) -> None:
    documented = client.get("/openapi.json").json()["paths"]["/v1/search"]["post"]["responses"]
    bodies: list[tuple[bytes, int]] = [
        (b"{", 400),
        (json.dumps({"query": "x", "datastore": "none"}).encode(), 404),
        (json.dumps({"query": "x" * 50_000_000}).encode(), 413),
        (json.dumps({"query": "x", "k": 0}).encode(), 422),
    ]
    for body, status in bodies:
        sent = client.post("/v1/search", content=body, headers={"content-type": "application/json"})
        assert (sent.status_code, str(status) in documented) == (status, True), sent.text[:300]
