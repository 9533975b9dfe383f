"""Query rewriting and reranking over HTTP: the real retrieval service and encoder before the real model service, with
the small model and its experts; the judge's scores against those that /v1/score gives for each digit."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway.settings import GatewaySettings
from services.model.app import create_app as create_model
from services.model.settings import ModelSettings
from services.retrieval.app import create_app
from services.retrieval.build import build_all
from services.retrieval.language.judging import BEGUN, JUDGE
from services.retrieval.language.rewriting import REWRITE
from services.retrieval.settings import RetrievalSettings
from tests.contract.gateway_support import closed_port, gateway, serving
from tests.contract.model_support import ready
from tests.retrieval_support import owner, write_source

QUERY = "How do I read the lines of a file?"
TEXTS = {
    "encyclopedia": ["A file is a sequence of bytes on a disk.", "Ships sail the sea.", "The cat sleeps in the sun."],
    "python": ["Read lines of a file with open() and a for loop.", "Lists are changed in place by sort()."],
}
EVERYONE = ["encyclopedia", "python"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, candor_home: Path) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(candor_home / "models")
    for name, texts in TEXTS.items():
        write_source(home, name, texts)
    build_all(home, [owner(name, public=name == "encyclopedia") for name in TEXTS], lambda _: None)
    return home


@contextmanager
def searching(home: Path, model_url: str) -> Iterator[httpx.Client]:
    settings = RetrievalSettings(directory=home / "retrieval", model_url=model_url)
    with ready(create_app(settings)) as url, httpx.Client(base_url=url, timeout=300) as client:
        yield client


@pytest.fixture(scope="module")
def model(candor_home: Path) -> Iterator[httpx.Client]:
    settings = ModelSettings(directory=candor_home / "models" / "candor-135m", dtype="float32", threads=1)
    with ready(create_model(settings)) as url, httpx.Client(base_url=url, timeout=300) as client:
        yield client


@pytest.fixture(scope="module")
def client(home: Path, model: httpx.Client) -> Iterator[httpx.Client]:
    with searching(home, str(model.base_url)) as client:
        yield client


def search(client: httpx.Client, **body: object) -> Any:
    response = client.post("/v1/search", json={"query": QUERY, "index": "compactds", **body})
    assert response.status_code == 200, response.text
    return response.json()


def chat(model: httpx.Client, experts: list[str], content: str, **fields: object) -> Any:
    body = {"model": "candor", "messages": [{"role": "user", "content": content}], "candor": {"experts": experts}}
    response = model.post("/v1/chat/completions", json={**body, **fields})
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]


def by_brute_force(model: httpx.Client, experts: list[str], passage: str) -> float:
    """The expected digit after the prompt and each of the six digits, scored as whole texts."""
    messages = [
        {"role": "user", "content": JUDGE.format(query=QUERY, passage=passage)},
        {"role": "assistant", "content": BEGUN},
    ]
    asked = {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}
    prompt = model.post("/tokenize", json=asked).json()["tokens"]
    texts = []
    for digit in "012345":
        (token,) = model.post("/tokenize", json={"prompt": digit, "add_special_tokens": False}).json()["tokens"]
        texts.append([*prompt, token])
    scored = model.post("/v1/score", json={"tokens": texts, "experts": experts}).json()["data"]
    weights = [math.exp(one["logprobs"][-1]) for one in scored]
    return sum(digit * weight for digit, weight in enumerate(weights)) / sum(weights)


def test_the_judges_score_is_the_expected_digit_under_the_owners_experts(
    client: httpx.Client, model: httpx.Client
) -> None:
    found = search(client, rerank="llm", owners=EVERYONE, k=5)
    (passages,) = found["results"]
    assert len(passages) == 5
    for passage in passages[:3]:
        truth = by_brute_force(model, ["public", "python"], passage["text"])
        assert passage["scores"]["llm"] == pytest.approx(truth, abs=0.01)
    assert found["failed"] == []
    assert found["warnings"] == []
    assert found["timings"]["rerank"] > 0


def test_reranked_passages_are_in_the_order_of_both_scores(client: httpx.Client) -> None:
    (passages,) = search(client, rerank="llm", owners=EVERYONE, k=5)["results"]
    (plain,) = search(client, owners=EVERYONE, k=5)["results"]
    assert {one["id"] for one in passages} == {one["id"] for one in plain}
    exact = [one["scores"]["exact"] for one in passages]
    least, span = min(exact), max(exact) - min(exact)
    for passage in passages:
        scores = passage["scores"]
        blended = 0.5 * scores["llm"] / 5 + 0.5 * (scores["exact"] - least) / span
        assert scores["rerank"] == pytest.approx(blended)
    finals = [one["scores"]["rerank"] for one in passages]
    assert finals == sorted(finals, reverse=True)
    assert {one["scores"]["rerank"] for one in plain} == {None}


def test_documents_of_a_request_are_judged_by_the_model_of_that_name_with_the_public_expert_alone(
    client: httpx.Client, model: httpx.Client
) -> None:
    documents = TEXTS["encyclopedia"]
    body = {"model": "llm", "query": QUERY, "documents": documents, "return_documents": True}
    answer = client.post("/v1/rerank", json=body).json()
    assert answer["model"] == "llm"
    truth = [by_brute_force(model, ["public"], text) / 5 for text in documents]
    scores = [result["relevance_score"] for result in answer["results"]]
    assert scores == pytest.approx([truth[result["index"]] for result in answer["results"]], abs=0.002)
    assert scores == sorted(scores, reverse=True)
    assert [result["document"]["text"] for result in answer["results"]] == [
        documents[result["index"]] for result in answer["results"]
    ]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"model": "rerank-v3"}, 404, "Known: minilm, llm."),
        ({"model": "llm", "documents": ["a"] * 101}, 422, "`llm`, which takes 100"),
        ({"model": "llm", "documents": ["a", "a" * 3001]}, 422, "documents.1 has 3,001 characters"),
        ({"model": "llm", "documents": [" "]}, 422, "documents.0 has no words"),
    ],
)
def test_documents_that_cannot_be_judged_are_refused(
    client: httpx.Client, body: dict[str, Any], status: int, says: str
) -> None:
    response = client.post("/v1/rerank", json={"query": QUERY, "documents": ["a"], **body})
    assert response.status_code == status
    assert says in response.json()["detail"]


def test_the_best_of_the_candidates_are_given_and_none_below_the_least_score(client: httpx.Client) -> None:
    (every,) = search(client, rerank="llm", owners=EVERYONE, k=5)["results"]
    (two,) = search(client, rerank="llm", owners=EVERYONE, k=2)["results"]
    assert [one["id"] for one in two] == [one["id"] for one in every[:2]]
    least = every[2]["scores"]["rerank"]
    (kept,) = search(client, rerank="llm", owners=EVERYONE, k=5, min_score=least)["results"]
    assert [one["id"] for one in kept] == [one["id"] for one in every if one["scores"]["rerank"] >= least]


@pytest.mark.parametrize(("owners", "experts"), [(EVERYONE, ["public", "python"]), (None, ["public"])])
def test_the_rewrite_is_the_models_own_under_the_owners_experts_and_takes_the_querys_place(
    client: httpx.Client, model: httpx.Client, owners: list[str] | None, experts: list[str]
) -> None:
    found = search(client, rewrite=True, owners=owners)
    begun = chat(model, experts, REWRITE.format(query=QUERY), temperature=0, max_tokens=24)["message"]["content"]
    assert found["rewrites"][0].startswith(begun.strip())
    assert found["timings"]["rewrite"] > 0
    instead = search(client, query=found["rewrites"][0], owners=owners)
    assert found["results"] == instead["results"]
    assert search(client, rewrite=True, owners=owners)["rewrites"] == found["rewrites"]


def test_a_model_that_does_not_answer_leaves_the_search_as_it_is_and_is_named(home: Path) -> None:
    with searching(home, closed_port()) as client:
        plain = search(client, owners=EVERYONE, k=3)
        found = search(client, owners=EVERYONE, k=3, rewrite=True, rerank="llm")
        alone = client.post("/v1/rerank", json={"model": "llm", "query": QUERY, "documents": ["a"]})
    assert (alone.status_code, alone.json()["code"]) == (503, "no_language_model")
    assert found["results"] == plain["results"]
    assert found["rewrites"] is None
    assert [stage["stage"] for stage in found["failed"]] == ["rewrite", "rerank"]
    assert [warning.partition(":")[0] for warning in found["warnings"]] == ["rewrite", "rerank"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"queries": ["a"] * 17, "query": None, "rewrite": True}, 422),
        ({"rerank": "exact"}, 422),
        ({"rerank": "llm", "diversity": 0.5}, 422),
        ({"rewrite": True, "owners": ["nobody"]}, 404),
        ({"rewrite": True, "datastore": "nowhere"}, 404),
        ({"rewrite": True, "query": " "}, 422),
    ],
)
def test_what_cannot_be_served_is_refused_before_the_model_is_asked(
    client: httpx.Client, body: dict[str, Any], status: int
) -> None:
    response = client.post("/v1/search", json={"query": QUERY, **body})
    assert response.status_code == status, response.text


@contextmanager
def lying(home: Path, always_on: str = "") -> Iterator[tuple[httpx.Client, dict[str, Any]]]:
    """The retrieval service before a model that says what it likes of who computed, and that mask."""
    model = FastAPI()
    listing = [
        {"id": name, "index": place, "owner": None, "public": name in ("public", always_on)}
        for place, name in enumerate(["public", "papers", "python"])
    ]
    model.get("/v1/experts")(lambda: {"model": "candor", "architecture": "mixtral", "active": 2, "data": listing})
    choice = {
        "index": 0,
        "message": {"content": "Foxglove slows the heart."},
        "finish_reason": "stop",
        "candor": {"tokens": 4, "routing": {"public": 1.0}},
    }
    usage = {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}
    mask = {"experts": ["public"], "vocabulary": 320}
    answer = {"id": "c", "created": 0, "model": "candor", "choices": [choice], "usage": usage, "candor": mask}
    model.post("/v1/chat/completions")(lambda: answer)
    with serving(model) as url, searching(home, url) as client:
        yield client, mask


def assert_nothing_is_answered(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["code"]) == (503, "consent_not_applied")


def test_when_the_model_computes_with_an_expert_of_another_owner_nothing_is_answered(home: Path) -> None:
    with lying(home) as (client, mask):
        mask["experts"] = ["public", "papers"]
        for asked in ({"rewrite": True}, {"rerank": "llm"}):
            assert_nothing_is_answered(client.post("/v1/search", json={"query": QUERY, "owners": ["python"], **asked}))
        mask["experts"] = ["public", "python"]
        assert search(client, owners=["python"], rewrite=True)["rewrites"] == ["Foxglove slows the heart."]


def test_an_expert_that_the_model_has_always_on_and_the_registry_gives_to_an_owner_assists_nobody_without_him(
    home: Path,
) -> None:
    """It is in no mask and no routing by its name: those have it for a part of the public expert."""
    with lying(home, always_on="papers") as (client, _):
        for asked in ({"rewrite": True}, {"rerank": "llm"}):
            assert_nothing_is_answered(client.post("/v1/search", json={"query": QUERY, "owners": ["python"], **asked}))
        body = {"model": "llm", "query": QUERY, "documents": TEXTS["encyclopedia"]}
        assert_nothing_is_answered(client.post("/v1/rerank", json=body))
    with lying(home, always_on="python") as (client, _):
        assert search(client, owners=["python"], rewrite=True)["rewrites"] == ["Foxglove slows the heart."]


@contextmanager
def asking(model: httpx.Client, retrieval: httpx.Client, folder: Path) -> Iterator[httpx.Client]:
    settings = GatewaySettings(
        model_url=str(model.base_url),
        retrieval_url=str(retrieval.base_url),
        tracing_url=closed_port(),
        evaluation_url=closed_port(),
        database_url=f"sqlite:///{folder / 'gateway.db'}",
    )
    with gateway(settings) as address, httpx.Client(base_url=address, timeout=300) as client:
        yield client


def ask(client: httpx.Client, *, strict: bool = False) -> httpx.Response:
    candor = {
        "retrieval": {"rewrite": True, "rerank": "llm", "index": "compactds"},
        "sampling": {"samples": 1, "budget": 8},
        "owners": {"include": ["python"]},
        "strict": strict,
    }
    body = {"model": "candor-rag", "messages": [{"role": "user", "content": QUERY}], "candor": candor}
    return client.post("/v1/chat/completions", json=body)


def test_the_gateway_passes_both_on_and_tells_what_became_of_them(
    client: httpx.Client, model: httpx.Client, tmp_path: Path
) -> None:
    with asking(model, client, tmp_path) as before:
        report = ask(before).json()["candor"]
        direct = search(client, rewrite=True, rerank="llm", owners=EVERYONE, k=1)
        assert report["rewrite"] == direct["rewrites"][0]
        assert [one["id"] for one in report["passages"]] == [one["id"] for one in direct["results"][0]]
        assert report["passages"][0]["scores"]["rerank"] is not None
        assert report["failed"] == []
        times = report["timings"]
        assert 0 < times["rerank"] <= times["retrieve"]
        documents = [text for texts in TEXTS.values() for text in texts]
        ranked = before.post("/v1/rerank", json={"query": QUERY, "documents": documents, "top_n": 1})
        assert [result["index"] for result in ranked.json()["results"]] == [3]


def test_the_gateway_names_the_stages_that_failed_and_strict_refuses(
    home: Path, model: httpx.Client, tmp_path: Path
) -> None:
    with searching(home, closed_port()) as retrieval, asking(model, retrieval, tmp_path) as before:
        report = ask(before).json()["candor"]
        assert [failed["stage"] for failed in report["failed"]] == ["rewrite", "rerank"]
        assert report["passages"]
        refused = ask(before, strict=True)
        assert refused.status_code == 503
        assert "'rewrite'" in refused.json()["error"]["message"]
