"""rag-qa over the data that was really pulled."""

from pathlib import Path

import pytest

from services.evaluation.suites.base import Plan
from services.evaluation.suites.questions import choose
from services.evaluation.suites.rag_qa import RagQa
from services.evaluation.suites.rag_request import DEFAULT_SETS, RagQaOptions
from shared.owners import load_owners


@pytest.fixture(scope="module")
def plan(candor_home: Path) -> Plan:
    return RagQa().plan(RagQaOptions(), 100, 0, candor_home)


def test_each_default_set_has_a_hundred_questions_under_each_setting_it_can_have(plan: Plan) -> None:
    public = {owner.id for owner in load_owners() if owner.public}
    for name in DEFAULT_SETS:
        items = [item for item in plan.items if item.set == name]
        settings = ["closed_book", "rag"] + ["rag_without_owner"] * (items[0].ask["owner"] not in public)
        assert [item.setting for item in items] == settings * 100
    assert len({item.id for item in plan.items}) == len(plan.items)


def test_the_questions_of_every_owner_are_its_own(plan: Plan) -> None:
    owners = {item.set: item.ask["owner"] for item in plan.items}
    assert owners == {
        "squad": "encyclopedia",
        "coqa-cnn": "news",
        "coqa-gutenberg": "literature",
        "medmcqa": "medicine",
        "sciq": "textbooks",
    }


def test_the_same_seed_plans_the_same_run(plan: Plan, candor_home: Path) -> None:
    again = RagQa().plan(RagQaOptions(), 100, 0, candor_home)
    assert again == plan
    assert RagQa().plan(RagQaOptions(), 100, 1, candor_home).versions["questions"] != plan.versions["questions"]


def test_a_set_of_yes_and_no_can_be_asked_as_standalone_questions(candor_home: Path) -> None:
    assert choose(candor_home, "boolq", "extractive", 10, seed=0) == []
    assert len(choose(candor_home, "boolq", "standalone", 10, seed=0)) == 10
