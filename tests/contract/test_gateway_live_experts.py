"""An expert removed under the gateway: those who remain are served at once, though it had heard of that expert."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
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

OWNERS = ("papers", "medicine", "python")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("experts")
    anchor = make_anchor(folder / "anchor", seed=0)
    config = json.loads((anchor / "config.json").read_text()) | {"max_position_embeddings": 4096}
    (anchor / "config.json").write_text(json.dumps(config))
    made = {owner: make_expert(anchor, owner, folder / owner, seed) for seed, owner in enumerate(OWNERS)}
    return made | {"model": merge(anchor, list(made.values()), folder / "merged")}


@pytest.fixture(scope="module")
def both(
    files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Clients of the gateway and of the model service behind it."""
    folder = tmp_path_factory.mktemp("state")
    settings = ModelSettings(directory=files["model"], experts=folder / "experts", threads=1)
    with (
        ready(create_app(settings)) as model_url,
        gateway_before(model_url, folder) as client,
        httpx.Client(base_url=model_url, timeout=60) as model,
    ):
        yield client, model


CHAT = {"model": "candor-plain", "messages": [{"role": "user", "content": "What does foxglove do?"}]}
SHORT = {"max_tokens": 4, "temperature": 0}


def experts(client: httpx.Client, path: str, body: dict[str, Any]) -> set[str]:
    """The experts that took part, as the gateway's answer says."""
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    if path in {"/v1/score", "/v1/routing", "/v1/routing/analysis"}:
        return set(response.json()["candor"]["experts"]) - {"public"}
    if body.get("stream"):
        events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
        assert not any("error" in event for event in events), events
        reports = [event["candor"] for event in events if event.get("candor")]
        (report,) = [found for found in reports if "ledger" in found]
    else:
        report = response.json()["candor"]
    return {expert for entry in report["ledger"] for expert in entry["experts"]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT | SHORT),
        ("/v1/chat/completions", CHAT | SHORT | {"stream": True}),
        ("/v1/completions", SHORT | {"model": "candor", "prompt": "foxglove"}),
        ("/v1/completions", SHORT | {"model": "candor", "prompt": "foxglove", "stream": True}),
        ("/v1/score", {"texts": ["foxglove"]}),
        ("/v1/routing", {"text": "foxglove"}),
        ("/v1/routing/analysis", {"texts": {"plants": ["foxglove"]}}),
    ],
)
def test_a_removed_expert_fails_no_request_of_the_owners_that_remain(
    both: tuple[httpx.Client, httpx.Client], files: dict[str, Path], path: str, body: dict[str, Any]
) -> None:
    client, model = both
    try:
        until = time.monotonic() + 30
        # the gateway asks again what is served only every few seconds
        while (found := experts(client, path, body)) != {*OWNERS} and time.monotonic() < until:
            time.sleep(0.2)
        assert found == {*OWNERS}
        assert model.delete("/v1/experts/medicine").status_code == 204
        assert experts(client, path, body) == {"papers", "python"}
    finally:
        model.put("/v1/experts/medicine", content=files["medicine"].read_bytes())
