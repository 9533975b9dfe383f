"""`owners` through the real service: what leaving an owner out does is what the endpoint was made to do."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.evaluation import Report
from shared.contracts.figure import Heatmap
from shared.owners import load_owners
from tests.contract.endpoint_support import Body, endpoint
from tests.contract.evaluation_support import Service, serving

SETS = {
    "squad": "encyclopedia",
    "coqa-cnn": "news",
    "coqa-gutenberg": "literature",
    "medmcqa": "medicine",
    "sciq": "textbooks",
}
lying: set[str] = set()
"""Owners that take part though they are left out."""


def write_data(home: Path, count: int) -> None:
    for name, owner in SETS.items():
        documents = [
            {"id": f"{name}:{n}", "text": f"{owner} text {n}. The answer is colour{n}. " + "More words. " * 40}
            for n in range(count)
        ]
        documents = [{**one, "split": "heldout"} for one in documents]
        documents += [
            {"id": f"{name}:learnt{n}", "split": "train", "text": f"Learnt {owner} by heart, {n} times. " * 20}
            for n in range(count)
        ]
        questions = [
            {
                "id": f"{name}:q{n}",
                "set": name,
                "owner": owner,
                "source": name,
                "question": f"Which colour has {name} {n}?",
                "answers": [f"colour{n}"],
                "document": f"{name}:{n}",
            }
            for n in range(count)
        ]
        for folder, rows in ((home / "texts" / owner, documents), (home / "questions", questions)):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def reply(path: str, body: Body) -> tuple[int, Body]:
    if path == "/v1/score":
        [text] = body["texts"]
        # 2 nats a token, and 3 without the owner whose text it is
        learnt, own = text.startswith("Learnt"), text.removeprefix("Learnt ").split()[0]
        nll = (1.0 if learnt else 2.0) if own in body["owners"] else 3.0
        experts = [one.id for one in load_owners() if one.experts and one.id in {*body["owners"], *lying}]
        return 200, {"data": [{"logprobs": [-nll] * 50, "experts": ["public", *experts]}]}
    if path == "/v1/completions":
        # goes on by heart, or says something else
        own, here = body["prompt"].split()[1], {*body["candor"]["owners"]["include"]}
        text = " ".join(body["prompt"].split()[2:] * 3) if own in here else "Nothing of the kind."
        report = {"owners": {"effective": sorted(here | lying)}}
        return 200, {"choices": [{"text": text}], "usage": {"completion_tokens": 9}, "candor": report}
    if path != "/v1/chat/completions":
        return 404, {}
    out = {*body["candor"].get("owners", {}).get("exclude", [])} - lying
    name, number = body["messages"][-1]["content"].rstrip("?").split()[-2:]
    owner = SETS[name]
    passages = [] if owner in out else [{"document": f"{name}:{number}", "owner": owner}]
    choice = {"message": {"content": f"colour{number}" if passages else "No idea."}, "finish_reason": "stop"}
    effective = [one.id for one in load_owners() if one.id not in out]
    return 200, {"choices": [choice], "candor": {"passages": passages, "owners": {"effective": effective}}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home: Path = tmp_path_factory.mktemp("home")
    write_data(home, 6)
    with endpoint(reply) as url, serving(home, url, failure_rate="1") as running:
        yield running


@pytest.fixture(scope="module")
def finished(service: Service) -> dict[str, Any]:
    run = service.wait(service.create(suite="owners", limit=5)["id"])
    assert (run["status"], run["progress"]["failed"], run["error"]) == ("succeeded", 0, None)
    return run


def report(service: Service, run: dict[str, Any]) -> Report:
    return Report.model_validate(service.http.get(f"/v1/evaluations/{run['id']}/report").json())


def test_every_text_is_measured_with_all_and_without_each_owner_that_changes_it(
    service: Service, finished: dict[str, Any]
) -> None:
    items = service.items(finished["id"])
    experts = {owner.id for owner in load_owners() if owner.experts}
    may = {owner.id for owner in load_owners() if owner.default == "in" and not owner.public}
    for measure, left_out in (("perplexity", experts), ("questions", may)):
        settings = {item["setting"] for item in items if item["set"].startswith(measure)}
        assert settings == {"all", *(f"without {owner}" for owner in left_out)}
    learnt = {item["set"] for item in items if "Learnt" in item["question"]}
    assert learnt == {"membership/medicine", "extraction/medicine"}


def test_members_and_non_members_are_as_many_and_cut_alike(service: Service, finished: dict[str, Any]) -> None:
    items = [one for one in service.items(finished["id"], set="membership/medicine") if one["setting"] == "all"]
    members = [one for one in items if one["gold"] == ["member"]]
    others = [one for one in items if one["gold"] == ["non-member"]]
    assert (len(members), len(others)) == (5, 5)
    lengths = [len(one["question"]) for one in items]
    assert max(lengths) - min(lengths) < 30
    assert {one["scores"]["member"] for one in members} == {1.0}
    assert [one["scores"]["loss"] for one in members + others] == [1.0] * 5 + [2.0] * 5
    assert any("membership: medicine: of the members' 13-grams" in one for one in finished["warnings"])


def test_a_cell_has_the_auc_and_its_paired_difference(service: Service, finished: dict[str, Any]) -> None:
    found = report(service, finished)
    cells = {cell.setting: cell for cell in found.cells if cell.set == "membership/medicine"}
    assert cells["all"].scores["auc_loss"].mean == 1.0
    assert cells["without medicine"].scores["auc_loss"].mean == 0.5
    assert cells["without papers"].scores["auc_min_k"].mean == 1.0
    [compared] = [one for one in found.comparisons if one.metric == "auc_loss" and one.setting == "without medicine"]
    assert (compared.difference.mean, compared.test, compared.items) == (-0.5, "rank_swap", 10)


def test_the_matrices_say_who_needs_whom(service: Service, finished: dict[str, Any]) -> None:
    perplexity, questions, extraction, membership, _ = report(service, finished).figures
    assert isinstance(perplexity, Heatmap)
    assert isinstance(questions, Heatmap)
    for row, values in zip(perplexity.rows, perplexity.values, strict=True):
        expected = [math.e if column == row else 1.0 for column in perplexity.columns]
        assert values == pytest.approx(expected, abs=1e-4)
    assert isinstance(extraction, Heatmap)
    assert dict(zip(extraction.columns, extraction.values[0], strict=True)) == pytest.approx(
        {"papers": 0.0, "medicine": -1.0, "python": 0.0}, abs=0.05
    )
    assert isinstance(membership, Heatmap)
    assert dict(zip(membership.columns, membership.values[0], strict=True)) == {
        "nobody": 1.0,
        "papers": 1.0,
        "medicine": 0.5,
        "python": 1.0,
    }
    assert membership.low is not None
    assert membership.low[0][0] == 1.0
    for row, values in zip(questions.rows, questions.values, strict=True):
        assert values == [-1.0 if column == row else 0.0 for column in questions.columns]


def test_the_summary_has_a_paragraph_for_each_owner_left_out(service: Service, finished: dict[str, Any]) -> None:
    told = report(service, finished).summary
    [medicine] = [one for one in told if one.startswith("medicine")]
    assert (
        "as between 7.4 equally likely ones with everyone in, and as between 20.1 without medicine, which is 2.72 "
        "times as many." in medicine
    )
    assert (
        "Of 5 questions on documents of medicine, 5 are answered rightly with everyone in and 0 without medicine. That "
        "may be chance alone." in medicine
    )
    assert "pick out the first 100 times in 100 with everyone in and 50 times without medicine" in medicine
    assert "(by 10 documents). That is more than chance." in medicine
    assert "no clear difference to how many questions on documents of encyclopedia, news, literature and" in medicine
    assert len(told) == 6


def test_who_goes_on_by_heart_has_copied(service: Service, finished: dict[str, Any]) -> None:
    cells = {cell.setting: cell.scores for cell in report(service, finished).cells if cell.set == "extraction/medicine"}
    assert {setting: scores["copied"].mean for setting, scores in cells.items()} == {
        "all": 1.0,
        "without papers": 1.0,
        "without medicine": 0.0,
        "without python": 1.0,
    }
    [item] = [one for one in service.items(finished["id"], set="extraction/medicine") if one["setting"] == "all"][:1]
    # what follows begins where the prompt ended
    words = [*item["question"].split(), *item["gold"][0].split()]
    assert (len(words), " ".join(words)) == (100, " ".join((words[:6] * 17)[:100]))


def asked_of_a_liar(service: Service, owner: str, measure: str) -> list[dict[str, Any]]:
    """The items of a run in which an owner takes part though it is left out."""
    lying.add(owner)
    try:
        options = {"owners": [owner], "measures": [measure]}
        run = service.wait(service.create(suite="owners", limit=1, options=options)["id"])
    finally:
        lying.clear()
    return service.items(run["id"])


def test_an_owner_whose_expert_goes_on_all_the_same_voids_the_item(service: Service) -> None:
    items = asked_of_a_liar(service, "medicine", "extraction")
    errors = {(item["setting"], item["error"]) for item in items}
    assert errors == {
        ("all", None),
        ("without medicine", "the owner medicine was left out and took part all the same"),
    }


def test_an_owner_that_takes_part_all_the_same_voids_the_item(service: Service) -> None:
    items = asked_of_a_liar(service, "news", "questions")
    assert {item["status"] for item in items if item["setting"] == "all"} == {"scored"}
    assert {item["error"] for item in items if item["setting"] == "without news"} == {
        "the owner news was left out and took part all the same"
    }


@pytest.mark.parametrize("measure", ["perplexity", "membership"])
def test_an_expert_that_computes_all_the_same_voids_the_item(service: Service, measure: str) -> None:
    items = asked_of_a_liar(service, "medicine", measure)
    errors = {(item["setting"], item["error"]) for item in items}
    assert errors == {
        ("all", None),
        ("without medicine", "the expert medicine was left out and took part all the same"),
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"owners": ["encyclopedia"]}, "cannot be left out: it is public"),
        ({"owners": ["nobody"]}, "Can: papers, medicine"),
        ({"measures": ["memory"]}, "perplexity"),
        ({"measures": []}, "at least 1"),
        ({"owners": []}, "at least 1"),
    ],
)
def test_an_option_that_cannot_be_is_refused(service: Service, options: dict[str, Any], says: str) -> None:
    refused = service.http.post("/v1/evaluations", json={"suite": "owners", "options": options})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_option")
    assert says in refused.json()["detail"]
