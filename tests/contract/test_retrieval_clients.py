"""The retrievers in docs/clients.md, as they stand there, against the real service."""

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

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
TEXTS = {"encyclopedia": ["Ants live in colonies."], "papers": ["A slice selects a range of items.", "Rain falls."]}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, candor_home: Path) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(candor_home / "models")
    for name, texts in TEXTS.items():
        write_source(home, name, texts)
    build_all(home, [owner(name, public=name == "encyclopedia") for name in TEXTS], lambda _: None)
    with serving(create_app(RetrievalSettings(directory=home / "retrieval"))) as client:
        yield str(client.base_url).rstrip("/")


def retriever(heading: str) -> Any:
    """The class in the code below a heading of the page."""
    code = re.search(rf"## {heading}\n\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code
    names: dict[str, Any] = {"__name__": heading}
    exec(code[1], names)
    return names["CandorRetriever"]


def test_langchains_retriever_finds_passages_of_the_owners_it_is_given(address: str) -> None:
    pytest.importorskip("langchain_core", reason="the extra `clients` is not installed")
    found = retriever("LangChain")(url=address, owners=["papers"], k=2).invoke("what does a slice do?")
    assert [document.id for document in found] == ["papers-source:0#0", "papers-source:1#0"]
    assert found[0].page_content == TEXTS["papers"][0]
    assert (found[0].metadata["owner"], found[0].metadata["licence"]) == ("papers", "CC0-1.0")
    assert [document.metadata["owner"] for document in retriever("LangChain")(url=address).invoke("slice")] == [
        "encyclopedia"
    ]


def test_llamaindexs_retriever_finds_passages_of_the_owners_it_is_given(address: str) -> None:
    pytest.importorskip("llama_index.core", reason="the extra `clients` is not installed")
    found = retriever("LlamaIndex")(address, owners=["papers"], k=2).retrieve("what does a slice do?")
    assert [node.node.node_id for node in found] == ["papers-source:0#0", "papers-source:1#0"]
    assert found[0].text == TEXTS["papers"][0]
    assert found[0].score > found[1].score
    with pytest.raises(httpx.HTTPStatusError):
        retriever("LlamaIndex")(address, owners=["nobody"]).retrieve("slice")
