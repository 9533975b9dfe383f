"""`moe` through the real service, against an endpoint whose routing is known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.evaluation import Report
from shared.contracts.figure import Heatmap, Plot
from tests.contract.endpoint_support import Body, endpoint
from tests.contract.evaluation_support import Service, serving

EXPERTS = ["public", "papers", "medicine"]
LAYERS = 2
OWNERS = {"papers": 1, "medicine": 2, "news": 0}
"""The expert that computes all of an owner's tokens; public computes all others' second choice."""


def domain(owner: str, texts: int) -> Body:
    busy = OWNERS[owner]
    shares = [1.0 if at == busy else 0.5 for at in range(3)]
    return {
        "texts": texts,
        "tokens": 10 * texts,
        "shares": [[1 / 3] * 3] * LAYERS,
        "specialisation": [shares] * LAYERS,
    }


def reply(path: str, body: Body) -> tuple[int, Body]:
    if path != "/v1/routing/analysis":
        return 404, {}
    against = body.get("against")
    if against == "lost":
        return 404, {"detail": "There is no checkpoint 'lost'."}
    vocabulary = {
        "tokens": 30,
        "rare_entries": 1,
        "rare_tokens": 2,
        "by_layer": [0.5, 0.75],
        "entries": [{"id": 1, "token": "a", "count": 9, "specialisation": 0.9, "shares": [0.1, 0.9, 0.0]}],
    }
    return 200, {
        "model": "candor",
        "candor": {"experts": EXPERTS, "vocabulary": 10},
        "experts": EXPERTS,
        "public": ["public"],
        "active": 2,
        "uniform": 2 / 3,
        "least": body["least"],
        "tokens": sum(10 * len(texts) for texts in body["texts"].values()),
        "domains": {owner: domain(owner, len(texts)) for owner, texts in body["texts"].items()},
        "co_activation": {
            "tokens": [[5, 5, 0]] * LAYERS,
            "shares": [[[1.0, 0.25, 0.75], [0.5, 1.0, 0.5], [None] * 3]] * LAYERS,
        },
        "vocabulary": {"input": vocabulary, "next": vocabulary, "predicted": vocabulary},
        "saturation": None
        if against is None
        else {"against": against, "active": 2, "by_layer": [1.0, 0.5], "first": [0.9, 0.4]},
    }


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home: Path = tmp_path_factory.mktemp("home")
    for owner in OWNERS:
        (home / "texts" / owner).mkdir(parents=True)
        rows = [
            {"id": f"{owner}:{n}", "split": "heldout", "text": f"{owner} {n}. " + "Many words. " * 30} for n in range(4)
        ]
        (home / "texts" / owner / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with endpoint(reply) as url, serving(home, url, failure_rate="1") as running:
        yield running


def run(service: Service, **options: Any) -> tuple[dict[str, Any], Report]:
    options = {"owners": list(OWNERS), **options}
    ended = service.wait(service.create(suite="moe", limit=3, options=options)["id"])
    report = service.http.get(f"/v1/evaluations/{ended['id']}/report").json()
    return ended, Report.model_validate(report)


def test_documents_are_routed_one_by_one_and_all_together(service: Service) -> None:
    ended, report = run(service, against=["step-100"])
    assert ended["progress"] == {"done": 3 * 3 + 2, "total": 11, "failed": 0}
    scores = {(cell.set, cell.setting): {name: one.mean for name, one in cell.scores.items()} for cell in report.cells}
    assert scores["papers", "served"] == pytest.approx({"own_expert": 1.0, "busiest": 1.0, "even": 2 / 3})
    assert scores["news", "served"] == pytest.approx({"busiest": 1.0, "even": 2 / 3})
    assert scores["all texts", "against step-100"] == pytest.approx({"saturation": 0.75})


def test_the_plots_are_olmoes(service: Service) -> None:
    _, report = run(service, against=["step-100"])
    domains, layers, together, vocabulary, saturation = report.figures
    assert isinstance(domains, Heatmap)
    assert isinstance(together, Heatmap)
    assert isinstance(layers, Plot)
    assert isinstance(vocabulary, Plot)
    assert isinstance(saturation, Plot)
    assert dict(zip(domains.rows, domains.values, strict=True))["medicine"] == [0.5, 0.5, 1.0]
    assert together.values == [[None, 0.25, 0.75], [0.5, None, 0.5], [None, None, None]]
    assert [one.name for one in layers.series] == ["papers: papers", "medicine: medicine", "news: public"]
    assert [one.y for one in vocabulary.series] == [[0.5, 0.75]] * 3
    assert "input 2 of 30" in vocabulary.note
    assert {one.name: one.y for one in saturation.series} == {
        "step-100, all choices": [1.0, 0.5],
        "step-100, first choice": [0.9, 0.4],
    }


def test_a_checkpoint_that_is_not_there_fails_its_item_alone(service: Service) -> None:
    ended, report = run(service, against=["lost"])
    [failed] = service.items(ended["id"], status="failed")
    assert failed["error"] == "HTTP 404: There is no checkpoint 'lost'."
    assert len(report.figures) == 4


def test_an_unknown_owner_is_refused(service: Service) -> None:
    refused = service.http.post("/v1/evaluations", json={"suite": "moe", "options": {"owners": ["nobody"]}})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_option")


def test_a_checkpoint_named_twice_is_compared_once(service: Service) -> None:
    run = service.create(suite="moe", limit=1, options={"against": ["first", "first"]})
    assert [item["setting"] for item in service.items(run["id"], set="all texts")] == ["served", "against first"]


def test_no_owner_at_all_is_refused(service: Service) -> None:
    refused = service.http.post("/v1/evaluations", json={"suite": "moe", "options": {"owners": []}})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_option")
