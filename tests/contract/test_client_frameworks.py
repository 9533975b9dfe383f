"""The retrievers of docs/clients.md as they stand there, and what massive-serve's clients do, against the service."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.retrieval.app import create_app
from services.retrieval.build import build_all
from services.retrieval.settings import RetrievalSettings
from tests.retrieval_support import owner, write_source
from tests.tracing_support import serving

TEXTS = {
    "encyclopedia": [
        "The heron stands in shallow water and waits for fish.",
        "A lighthouse warns ships off the rocks.",
    ],
    "papers": ["Herons were counted at forty estuaries each winter for ten years."],
}
DOCS = Path(__file__).parents[2] / "docs" / "clients.md"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, candor_home: Path) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(candor_home / "models")
    for name, texts in TEXTS.items():
        write_source(home, name, texts)
    build_all(home, [owner(name, public=name == "encyclopedia") for name in TEXTS], lambda _: None)
    with serving(create_app(RetrievalSettings(directory=home / "retrieval"))) as client:
        yield str(client.base_url)


def retriever(framework: str) -> Any:
    """The class as a reader would paste it."""
    (code,) = re.findall(rf"## {framework}\n\n```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "pasted"}
    exec(code, names)
    return names["CandorRetriever"]


def test_langchain(url: str) -> None:
    search = {"k": 2, "owners": ["encyclopedia", "papers"]}
    found = retriever("LangChain")(url=url, search=search).invoke("Where does the heron wait for fish?")
    assert [document.metadata["owner"] for document in found] == ["encyclopedia", "papers"]
    assert (found[0].id, found[0].page_content) == ("encyclopedia-source:0#0", TEXTS["encyclopedia"][0])
    assert found[0].metadata["licence"] == "CC0-1.0"


@pytest.mark.parametrize("index", ["compactds", "leann", "bm25", "hybrid"])
def test_llamaindex(url: str, index: str) -> None:
    chosen = retriever("LlamaIndex")(url, k=2, owners=["encyclopedia", "papers"], index=index)
    found = chosen.retrieve("How many herons were counted in winter?")
    assert (found[0].node.text, found[0].node.metadata["owner"]) == (TEXTS["papers"][0], "papers")
    assert found[0].score >= found[1].score if len(found) > 1 else found[0].score > 0


@pytest.mark.parametrize("framework", ["LangChain", "LlamaIndex"])
def test_an_owner_left_out_is_left_out_and_a_refusal_is_an_error(url: str, framework: str) -> None:
    kind = retriever(framework)
    if framework == "LangChain":
        assert all(d.metadata["owner"] == "encyclopedia" for d in kind(url=url).invoke("herons counted in winter"))
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            kind(url=url, search={"owners": ["nobody"]}).invoke("herons")
    else:
        assert all(n.node.metadata["owner"] == "encyclopedia" for n in kind(url).retrieve("herons counted in winter"))
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            kind(url, owners=["nobody"]).retrieve("herons")


def massive_search(url: str, **body: object) -> Any:
    """As clients of massive-serve ask: they post to /search, raise for a status, and read lists by query."""
    response = httpx.post(f"{url}/search", json=body, timeout=60)
    response.raise_for_status()
    results = response.json()["results"]
    assert [len(part) for part in results["passages"]] == [len(part) for part in results["scores"]]
    assert [len(part) for part in results["passages"]] == [len(part) for part in results["IDs"]]
    return response.json()


def test_massive_serves_clients_find_public_passages_whatever_domain_they_are_set_to(url: str) -> None:
    body = {"query": "herons", "n_docs": 3, "nprobe": 64, "domains": "dpr_wiki_contriever", "use_rerank": False}
    found = massive_search(url, **body)
    assert found["owners"] == ["encyclopedia"]
    assert set(found["results"]["passages"][0]) == set(TEXTS["encyclopedia"])
    assert "dpr_wiki_contriever" in found["message"]
    assert sorted(found["results"]["scores"][0], reverse=True) == found["results"]["scores"][0]


def test_massive_serve_gives_one_passage_unless_asked_for_more(url: str) -> None:
    found = massive_search(url, query=["heron", "lighthouse"])
    assert found["results"]["passages"] == [[text] for text in TEXTS["encyclopedia"]]


@pytest.mark.parametrize("domains", ["papers", " papers , dpr_wiki", ["papers"]])
def test_owners_are_added_by_their_names_in_domains(url: str, domains: object) -> None:
    found = massive_search(url, query="herons counted in winter", n_docs=3, domains=domains)
    assert found["owners"] == ["encyclopedia", "papers"]
    assert found["results"]["passages"][0][0] == TEXTS["papers"][0]
    assert found["passage_owners"][0] == ["papers", "encyclopedia", "encyclopedia"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "query"),
        ({"query": " "}, "query"),
        ({"query": []}, "query"),
        ({"query": "x", "n_docs": 0}, "n_docs"),
        ({"query": "x", "exclude": ["papers"]}, "exclude"),
        ({"query": "x", "owners": ["papers"]}, "owners"),
    ],
)
def test_what_massive_serve_cannot_do_is_refused_by_name(url: str, body: object, field: str) -> None:
    response = httpx.post(f"{url}/search", json=body)
    assert (response.status_code, response.json()["field"].split(".")[0]) == (422, field)
