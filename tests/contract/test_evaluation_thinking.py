"""`thinking` through the real service, against an endpoint whose samples are known."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.evaluation import Report
from shared.contracts.figure import Plot
from tests.contract.endpoint_support import Body, endpoint, write_set
from tests.contract.evaluation_support import Service, serving

RIGHT = {"plain": 1, "thinking": 2, "no_thinking": 4}
"""Of eight samples of each question: so many are right, and all others say different numbers."""

asked: list[Body] = []
refused: set[str] = set()
"""Modes."""


def samples(mode: str, gold: int, count: int) -> list[Body]:
    right = RIGHT[mode]
    return [
        {
            "text": f"Some work. The answer is {gold if at < right else 1000 + at}.",
            "answer": "",
            "confidence": 10.0 - at,
            "tokens": 10,
            "finish_reason": "length" if at == 7 else "stop",
            "votes": 0,
            "verified": at < right,
        }
        for at in range(count)
    ]


def reply(path: str, body: Body) -> tuple[int, Body]:
    if path != "/v1/chat/completions":
        return 404, {}
    asked.append(body)
    sampling, question = body["candor"]["sampling"], body["messages"][-1]["content"]
    if sampling["mode"] in refused:
        return 422, {"detail": "This model has no thinking tags."}
    gold = int(question.split("of ")[1].split()[0]) * 2 if "Twice" in question else 2
    made = samples(sampling["mode"], gold, sampling["samples"])
    choice = {"message": {"role": "assistant", "content": made[0]["text"]}, "finish_reason": "stop"}
    return 200, {"choices": [choice], "usage": {"completion_tokens": 80}, "candor": {"samples": made, "winner": 0}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home: Path = tmp_path_factory.mktemp("home")
    write_set(home, "twice", [{"question": f"Twice of {one} is?", "answer": f"#### {2 * one}"} for one in range(1, 6)])
    with endpoint(reply) as url, serving(home, url) as running:
        yield running


@pytest.fixture(scope="module")
def finished(service: Service) -> dict[str, Any]:
    asked.clear()
    options = {"sets": ["twice"], "samples": 8, "budgets": [32, 64]}
    run = service.wait(service.create(suite="thinking", limit=5, options=options)["id"])
    assert (run["status"], run["progress"]["done"], run["error"]) == ("succeeded", 30, None)
    return run


def test_modes_are_asked_with_the_same_budget_and_seed(finished: dict[str, Any]) -> None:
    bodies = [body for body in asked if "Twice of 3 " in body["messages"][-1]["content"]]
    assert len(bodies) == 6
    assert len({body["seed"] for body in bodies}) == 1
    told = [body["candor"]["sampling"] for body in bodies]
    assert {(one["mode"], one["budget"]) for one in told} == {(mode, size) for mode in RIGHT for size in (32, 64)}
    assert all(one["samples"] == 8 and one["verifier"] == {"kind": "math", "answer": "6"} for one in told)
    assert all(body["candor"]["retrieval"] is False and body["candor"]["strict"] for body in bodies)


def test_one_answer_gives_pass_at_every_k_and_every_rule(service: Service, finished: dict[str, Any]) -> None:
    report = Report.model_validate(service.http.get(f"/v1/evaluations/{finished['id']}/report").json())
    assert len(report.cells) == 6
    for cell in report.cells:
        right = RIGHT[cell.setting.split("@")[0]]
        found = {name: estimate.mean for name, estimate in cell.scores.items()}
        for k in (1, 2, 4, 8):
            assert found[f"pass@{k}"] == pytest.approx(1 - comb(8 - right, k) / comb(8, k))
        assert "pass@16" not in found
        # one right answer and seven different wrong ones: the class of the first sample, by either vote
        assert (found["majority"], found["confidence"], found["best"], found["verifier"]) == (1, 1, 1, 1)
        assert (found["tokens"], found["truncated"], found["unparsed"]) == (10, 1 / 8, 0)


def test_modes_are_compared_at_the_same_budget_only(service: Service, finished: dict[str, Any]) -> None:
    report = Report.model_validate(service.http.get(f"/v1/evaluations/{finished['id']}/report").json())
    pairs = {(one.setting, one.against) for one in report.comparisons}
    assert pairs == {
        (f"{one}@{size}", f"{other}@{size}")
        for one, other in (("no_thinking", "thinking"), ("no_thinking", "plain"), ("thinking", "plain"))
        for size in (32, 64)
    }


def test_the_curves_are_data_of_the_report(service: Service, finished: dict[str, Any]) -> None:
    report = Report.model_validate(service.http.get(f"/v1/evaluations/{finished['id']}/report").json())
    plots = [figure for figure in report.figures if isinstance(figure, Plot)]
    passes, majority, _, tokens, time = plots
    assert [one.title.split(": ")[1] for one in (majority, tokens)] == [
        "accuracy by majority against tokens",
        "accuracy by verifier against tokens",
    ]
    [plain] = [one for one in passes.series if one.name == "plain@32"]
    assert plain.x == [1, 2, 4, 8]
    assert plain.y == pytest.approx([1 / 8, 1 / 4, 1 / 2, 1])
    [verified] = [one for one in tokens.series if one.name == "plain@32"]
    # one right sample: of groups of 2 one in four holds it
    assert verified.x == [10, 20, 40, 80]
    assert verified.y == pytest.approx([1 / 8, 1 / 4, 1 / 2, 1])
    assert {one.name for one in time.series} >= {"plain verifier", "thinking majority"}


def test_a_mode_that_is_refused_ends_the_run_with_the_endpoints_words(service: Service) -> None:
    refused.add("thinking")
    try:
        run = service.wait(service.create(suite="thinking", limit=1, options={"sets": ["twice"]})["id"])
        options = {"sets": ["twice"], "modes": ["plain"], "samples": 1, "budgets": [8]}
        without = service.wait(service.create(suite="thinking", limit=1, options=options)["id"])
    finally:
        refused.clear()
    assert (run["status"], run["progress"]["done"]) == ("failed", 0)
    assert run["error"].startswith("The mode 'thinking' was refused: HTTP 422: This model has no thinking tags.")
    assert """--option 'modes=["no_thinking","plain"]'""" in run["error"]
    assert without["status"] == "succeeded"


def test_an_unknown_set_is_refused(service: Service) -> None:
    refused = service.http.post("/v1/evaluations", json={"suite": "thinking", "options": {"sets": ["nope"]}})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_option")
    assert "Known: twice" in refused.json()["detail"]
