"""A model merged with an anchor that is a mixture itself, under the gateway: its own experts are no owner's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from services.model.app import create_app
from services.model.flexolmo.merge import merge
from services.model.settings import ModelSettings
from tests.contract.gateway_support import gateway_before
from tests.contract.model_support import ready
from tests.unit.flexolmo.conftest import make_anchor
from tests.unit.flexolmo.making import make_expert

TEXT = "foxglove slows the heart"
PUBLIC = ["public", "public-1", "public-2", "public-3"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("model")
    anchor = make_anchor(folder / "anchor", 0, "olmoe")
    files = [make_expert(anchor, owner, folder / owner, seed) for seed, owner in enumerate(("medicine", "python"))]
    checkpoint = merge(anchor, files, folder / "merged")
    with ready(create_app(ModelSettings(directory=checkpoint, experts=folder / "experts", threads=1))) as address:
        yield address


@pytest.fixture(scope="module")
def client(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with gateway_before(model, tmp_path_factory.mktemp("gateway")) as client:
        yield client


def post(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.parametrize("owners", [[], ["medicine"], ["medicine", "python"]])
def test_the_routing_of_a_text_has_the_anchor_s_experts_as_one(client: httpx.Client, owners: list[str]) -> None:
    found = post(client, "/v1/routing", text=TEXT, owners=owners, chosen=True)
    assert found["candor"]["experts"] == ["public", *owners]
    for series in (found["by_layer"], found["by_token"]):
        assert list(series["experts"]) == ["public", "medicine", "python"]
        assert all(sum(shares) == pytest.approx(1) for shares in zip(*series["experts"].values(), strict=True))
    assert sum(found["shares"]["experts"].values()) == pytest.approx(1)
    assert {name for token in found["chosen"] for layer in token for name in layer} <= {"public", *owners}
    assert all(len(layer) == found["active"] for token in found["chosen"] for layer in token)
    score = post(client, "/v1/score", texts=[TEXT], owners=owners)["data"][0]
    assert score["routing"].keys() >= {"public", *owners}


def test_an_analysis_has_a_column_for_each_of_them_and_says_which_they_are(client: httpx.Client) -> None:
    found = post(client, "/v1/routing/analysis", texts={"plants": [TEXT]}, owners=["medicine"])
    assert found["candor"]["experts"] == ["public", "medicine"]
    assert (found["experts"], found["public"]) == ([*PUBLIC, "medicine"], PUBLIC)
    assert all(len(layer) == len(found["experts"]) for layer in found["domains"]["plants"]["shares"])
