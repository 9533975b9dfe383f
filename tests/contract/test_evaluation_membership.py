"""`membership` through the real service: an endpoint with a memory falls to the attacks until its owner is left out."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.suites.membership.attacks import ATTACKS
from shared.contracts.evaluation import Report
from shared.contracts.figure import Heatmap, Plot
from shared.owners import load_owners
from tests.contract.endpoint_support import Body, endpoint
from tests.contract.evaluation_support import Service, serving

OWNER = "medicine"
PAIRS = 12
refusing: set[str] = set()
"""Fields of a score that the endpoint cannot tell."""
lying: set[str] = set()
"""Experts that compute though their owner is left out."""
missing: set[str] = set()
"""Experts that are not in the model."""


def body_of(kind: str, number: int) -> str:
    return (
        " ".join(
            f"{kind} {word} of case {number}" for word in ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta"]
        )
        * 2
    )


def write_data(home: Path) -> None:
    rows = {
        OWNER: [
            {"id": f"{split}{n}", "split": split, "text": body_of(kind, 100 + n)}
            for split, kind, count in (("train", "learnt", PAIRS + 3), ("heldout", "unseen", PAIRS + 3))
            for n in range(count)
        ],
        "encyclopedia": [{"id": "e1", "split": "train", "text": "the of and case number unseen learnt " * 40}],
    }
    for owner, documents in rows.items():
        (home / "texts" / owner).mkdir(parents=True)
        (home / "texts" / owner / "cases.jsonl").write_text("".join(json.dumps(one) + "\n" for one in documents))


def tokens_of(text: str) -> list[int]:
    return [zlib.crc32(word.encode()) % 997 for word in text.split()]


def text_score(tokens: list[int], owners: list[str], asked: Body) -> Body:
    """A token a word. What begins as a learnt text does is well known, if its owner takes part."""
    changed = tokens_of("other")[0] in tokens
    learnt = tokens_of("learnt")[0] in tokens and OWNER in owners and not changed
    # a prefix of other text disturbs what is known
    disturbed = learnt and tokens_of("unseen")[0] in tokens
    nll = (0.9 if disturbed else 0.5) if learnt else 2.0
    count = len(tokens) - 1
    # no two texts alike, so that no tie hides an order
    jitter = (sum(tokens) % 101) / 10_000
    found: Body = {
        "tokens": tokens,
        "logprobs": [-nll - jitter] * count,
        "experts": ["public", *(one for one in (OWNER,) if one in {*owners, *lying} - missing)],
    }
    if asked.get("own_moments"):
        found |= {"own_means": [-2.0] * count, "own_variances": [1.0] * count}
    if asked.get("gradient_norm"):
        found["gradient_norm"] = nll + jitter
    return found


def reply(path: str, body: Body) -> tuple[int, Body]:
    if path == "/tokenize":
        return 200, {"tokens": tokens_of(body["prompt"])}
    if path == "/v1/score":
        if told := refusing & {name for name, value in body.items() if value}:
            return 501, {"detail": f"This engine does not do it: {told.pop()}."}
        sequences = body.get("tokens") or [tokens_of(text) for text in body["texts"]]
        data = [text_score(tokens, body["owners"], body) for tokens in sequences]
        return 200, {"data": data, "candor": {"vocabulary": 997}}
    if path == "/v1/completions":
        words = body["prompt"].split(" ")
        tokens = [words[0], *(f" {word}" for word in words[1:])]
        offsets = [sum(map(len, tokens[:place])) for place in range(len(tokens))]
        tops = [None, *({token: -1.0, " other": -2.0} for token in tokens[1:])]
        return 200, {"choices": [{"logprobs": {"tokens": tokens, "top_logprobs": tops, "text_offset": offsets}}]}
    return 404, {}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home: Path = tmp_path_factory.mktemp("home")
    write_data(home)
    with endpoint(reply) as url, serving(home, url, failure_rate="1") as running:
        yield running


@pytest.fixture(scope="module")
def finished(service: Service) -> dict[str, Any]:
    options = {"owners": [OWNER], "neighbours": 4}
    run = service.wait(service.create(suite="membership", limit=PAIRS, options=options)["id"])
    assert (run["status"], run["progress"]["failed"], run["error"]) == ("succeeded", 0, None)
    return run


@pytest.fixture(scope="module")
def report(service: Service, finished: dict[str, Any]) -> Report:
    return service.report(finished["id"])


def test_every_text_is_asked_under_every_mask_and_every_attack_has_a_score(
    service: Service, finished: dict[str, Any]
) -> None:
    items = service.items(finished["id"])
    assert {item["setting"] for item in items} == {"all", f"without {OWNER}", "public only"}
    assert len(items) == 3 * 2 * PAIRS
    for item in items:
        without_score = {*ATTACKS} - item["scores"].keys()
        assert without_score == ({"reference"} if item["setting"] == "public only" else set())
        assert {"member", "overlap_7", "overlap_13"} <= item["scores"].keys()
    assert any("none may be a false alarm at 1%" in warning for warning in finished["warnings"])


def test_a_memory_is_caught_and_is_gone_with_its_owner(report: Report) -> None:
    cells = {cell.setting: cell for cell in report.cells}
    for attack in ("loss", "reference", "zlib", "min_k", "min_k_plus_plus", "neighbourhood", "recall", "grad_norm"):
        assert cells["all"].scores[f"auc_{attack}"].mean > 0.95, attack
        without = cells[f"without {OWNER}"].scores[f"auc_{attack}"]
        assert without.low <= 0.5 <= without.high or attack in ("zlib", "reference", "neighbourhood"), attack
    assert cells["public only"].scores["auc_loss"] == cells[f"without {OWNER}"].scores["auc_loss"]
    [loss] = [one for one in report.comparisons if (one.metric, one.setting) == ("auc_loss", f"without {OWNER}")]
    assert (loss.test, loss.items) == ("rank_swap", 2 * PAIRS)
    assert loss.difference.high < 0
    assert loss.p < 0.01


def test_the_figures_are_auc_rates_overlap_and_auc_by_overlap(report: Report) -> None:
    areas, one_percent, one_in_a_thousand, overlap, by_overlap = report.figures
    assert isinstance(areas, Plot)
    assert isinstance(overlap, Plot)
    for figure in (one_percent, one_in_a_thousand, by_overlap):
        assert isinstance(figure, Heatmap)
    assert isinstance(one_percent, Heatmap)
    assert f"With {PAIRS} non-members that is none of them" in one_percent.note
    row = one_percent.rows.index(f"{OWNER}, all")
    assert one_percent.values[row][one_percent.columns.index("loss")] == 1.0


def test_the_summary_says_what_a_reader_can_use(report: Report) -> None:
    [told] = report.summary
    assert f"{PAIRS} documents that its expert was trained on, {PAIRS} that it was not" in told
    assert "an outsider picks the former 100% (100% to 100%) of the time by" in told
    assert f"against without {OWNER}: leaving the owner out takes that signal away." in told


def test_an_engine_that_cannot_tell_ends_the_run_with_what_to_leave_out(service: Service) -> None:
    refusing.add("gradient_norm")
    try:
        options: dict[str, Any] = {"owners": [OWNER]}
        failed = service.wait(service.create(suite="membership", limit=2, options=options)["id"])
        options["attacks"] = ["loss", "zlib"]
        passed = service.wait(service.create(suite="membership", limit=2, options=options)["id"])
    finally:
        refusing.clear()
    assert failed["status"] == "failed"
    assert "Leave out min_k_plus_plus and grad_norm" in failed["error"]
    assert passed["status"] == "succeeded"
    assert any("an AUC of 2 pairs says next to nothing" in warning for warning in passed["warnings"])


def test_an_expert_that_computes_all_the_same_voids_the_item(service: Service) -> None:
    lying.add(OWNER)
    try:
        options = {"owners": [OWNER], "attacks": ["loss"]}
        run = service.wait(service.create(suite="membership", limit=1, options=options)["id"])
    finally:
        lying.clear()
    failed = {item["setting"]: item["error"] for item in service.items(run["id"]) if item["status"] == "failed"}
    said = f"the expert {OWNER} was left out and took part all the same"
    assert failed == {f"without {OWNER}": said, "public only": said}


def test_a_model_without_the_expert_is_not_said_to_remember_nothing(service: Service) -> None:
    missing.add(OWNER)
    try:
        options = {"owners": [OWNER], "attacks": ["loss"]}
        run = service.wait(service.create(suite="membership", limit=1, options=options)["id"])
    finally:
        missing.clear()
    failed = {item["setting"]: item["error"] for item in service.items(run["id"]) if item["status"] == "failed"}
    assert [*failed] == ["all"]
    assert f"the model has no expert {OWNER}" in failed["all"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"owners": ["encyclopedia"]}, "no expert of its own"),
        ({"owners": ["nobody"]}, "Have one: papers"),
        ({"owners": ["papers"]}, "None of these owners has a training document and a held-out one"),
        ({"attacks": ["guess"]}, "loss"),
        ({"masks": []}, "at least 1"),
    ],
)
def test_an_option_that_cannot_be_is_refused(service: Service, options: dict[str, Any], says: str) -> None:
    assert load_owners()
    refused = service.http.post("/v1/evaluations", json={"suite": "membership", "options": options})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_option")
    assert says in refused.json()["detail"]
