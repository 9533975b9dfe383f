"""The gateway's list of datastores before the real retrieval service: only what the client may know of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.settings import GatewaySettings
from services.retrieval.app import create_app
from services.retrieval.build import build_all
from services.retrieval.settings import RetrievalSettings
from tests.contract.gateway_support import closed_port, gateway
from tests.contract.model_support import ready
from tests.retrieval_support import owner, write_source

REGISTRY = """
owners:
  - {id: public, name: P, licence: CC0-1.0, contact: c@example.org, public: true}
  - {id: papers, name: Q, licence: MIT, contact: c@example.org}
"""


@pytest.fixture
def urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Of the gateway and of the service. The datastore has an owner who is not in the registry, and of each owner but
    the public one a segment that is damaged."""
    (tmp_path / "owners.yaml").write_text(REGISTRY)
    monkeypatch.setenv("CANDOR_OWNERS", str(tmp_path / "owners.yaml"))
    monkeypatch.setenv("CANDOR_RETRIEVAL_ENCODER", "wordllama")
    names = ("public", "papers", "former")
    for name in names:
        write_source(tmp_path, name, [f"The heron of {name} stands in shallow water.", "The ferry runs at noon."])
        write_source(tmp_path, name, ["Gulls were counted."], source="damaged")
    build_all(tmp_path, [owner(name, public=name == "public") for name in names], lambda _: None)
    for name in names[1:]:
        (tmp_path / "retrieval" / "main" / name / "damaged" / "vectors.npy").write_bytes(b"")
    with ready(create_app(RetrievalSettings(directory=tmp_path / "retrieval"))) as service:
        down = closed_port()
        settings = GatewaySettings(
            model_url=down,
            retrieval_url=service,
            tracing_url=down,
            evaluation_url=down,
            database_url=f"sqlite:///{tmp_path / 'gateway.db'}",
        )
        with gateway(settings) as address:
            yield address, service


def listed(url: str) -> Any:
    (main,) = httpx.get(f"{url}/v1/datastores").json()["data"]
    return main


def test_the_gateway_lists_counts_and_warns_of_permitted_owners_alone(urls: tuple[str, str]) -> None:
    seen, whole = listed(urls[0]), listed(urls[1])
    assert {warning["owner"] for warning in whole["warnings"]} == {"papers", "former"}
    assert whole["passages"] == 7
    (warning,) = seen["warnings"]
    assert warning["owner"] == "papers"
    assert warning["message"].startswith("main: segment papers/damaged: vectors.npy is damaged")
    assert seen["owners"] == ["papers", "public"]
    assert (seen["documents"], seen["passages"]) == (5, 5)
    assert "former" not in str(seen)


def test_the_gateway_s_readiness_counts_warnings_and_names_no_owner(urls: tuple[str, str]) -> None:
    seen, whole = (httpx.get(f"{url}/readyz").json() for url in urls)
    assert len(whole["warnings"]) == 2
    assert seen["services"]["retrieval"]["warnings"] == ["2 warnings: GET /readyz of the service itself says what"]
    assert "former" not in str(seen)


def test_what_cannot_be_found_is_not_counted(urls: tuple[str, str]) -> None:
    assert httpx.delete(f"{urls[1]}/v1/datastores/main/documents/papers-source:0?owner=papers").status_code == 200
    document = {"id": "papers-source:1", "text": "The ferry runs at one."}
    body = {"owner": "papers", "documents": [document]}
    assert httpx.post(f"{urls[1]}/v1/datastores/main/documents", json=body, timeout=60).status_code == 200
    for url, others in zip(urls, (3, 5), strict=True):
        main = listed(url)
        assert (main["documents"], main["passages"]) == (others + 1, others + 1)
        segments = {segment["id"]: segment for segment in main["segments"] if segment["owner"] == "papers"}
        built = segments.pop("source")
        assert (built["documents"], built["passages"], built["hidden"]) == (0, 0, 2)
        assert [(one["documents"], one["passages"], one["hidden"]) for one in segments.values()] == [(1, 1, 0)]
