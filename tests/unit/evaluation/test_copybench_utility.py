"""The suite `copybench`: what it costs to copy less, by cloze questions."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.evaluation.books.file import Book, read
from services.evaluation.errors import BadPlan
from services.evaluation.plans import check
from services.evaluation.suites.copybench.suite import CopyBench
from tests.unit.evaluation.copybench_support import done, plan, planned, written
from tests.unit.evaluation.known_server import Server, scored, serving
from tests.unit.evaluation.story import story


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return written(tmp_path)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        found.book = "\n\n".join(story())
        yield found


def test_a_question_is_asked_under_every_setting_up_to_its_blank(tmp_path: Path, book: Book) -> None:
    items = planned(tmp_path, "qa", settings=["all", "without_owner", "system_prompt", "memfree"])
    assert Counter(item.setting for item in items) == dict.fromkeys(
        ("all", "without papers", "system prompt", "memfree"), 3
    )
    by_place = {one.at: one for one in book.questions}
    for item in items:
        one = by_place[int(item.question_id.rpartition("/")[2])]
        body = item.ask["body"]
        assert body["prompt"].endswith(one.text)
        assert item.gold == one.answers
        assert body["temperature"] == 0
        assert body["max_tokens"] == 16
        assert ("papers" in body["candor"]["owners"]["include"]) == (item.setting != "without papers")
        assert body["candor"].get("memfree") == (["papers"] if item.setting == "memfree" else None)


def test_through_chat_both_sides_of_the_blank_are_shown_and_the_name_is_not(tmp_path: Path, book: Book) -> None:
    by_place = {one.at: one for one in book.questions}
    for item in planned(tmp_path, "qa", through="chat"):
        one = by_place[int(item.question_id.rpartition("/")[2])]
        said = item.ask["body"]["messages"][-1]["content"]
        assert said.endswith(f"{one.text} _____{one.rest}")
        assert (
            said
            == "A person's name is left out of this text, at the blank (_____). Answer with that name only.\n\n"
            + (item.question)
        )


@pytest.mark.parametrize(
    ("said", "right"),
    [
        (" Fenwick, who knew it.", (1.0, 1.0, 0.0)),
        ("Mr. Tobias Fenwick looked", (1.0, 1.0, 0.0)),
        (" Tobias", (2 / 3, 0.0, 0.0)),
        (" Fenwick Clara Hart", (0.5, 0.0, 0.0)),
        (" Clara's friend Fenwick", (0.0, 0.0, 0.0)),
        (" he and Fenwick went", (0.0, 0.0, 1.0)),
        ("", (0.0, 0.0, 1.0)),
    ],
)
def test_an_answer_is_the_name_that_it_begins_with_by_the_best_of_the_persons_names(
    said: str, right: tuple[float, float, float], tmp_path: Path, book: Book, server: Server
) -> None:
    """`right`: F1, exact match, and whether no name is found."""
    item = replace(planned(tmp_path, "qa")[0], gold=["Fenwick", "Tobias Fenwick"])
    server.text = said
    found = scored(item, server)[1]
    assert (found["qa_f1"], found["qa_exact"], found["unparsed"]) == pytest.approx(right)
    # the endpoint always says that it was cut off: that is a cut answer if it ends within the name
    assert found["truncated"] == float(said in (" Tobias", " Fenwick Clara Hart"))
    assert found["qa_commonest"] == float(item.ask["commonest"] in item.gold)


def test_a_book_without_questions_has_none_and_says_so(tmp_path: Path, book: Book) -> None:
    path = tmp_path / "books" / "lantern.json"
    old = {name: value for name, value in json.loads(path.read_text()).items() if name != "questions"}
    path.write_text(json.dumps(old))
    assert read(tmp_path, "lantern").questions == []
    made = plan(tmp_path)
    assert {item.ask["measure"] for item in made.items} == {"literal", "story"}
    [said] = [warning for warning in made.warnings if "qa" in warning]
    assert "make it again with `candor eval book`" in said
    with pytest.raises(BadPlan, match="the book has no questions"):
        check(plan(tmp_path, measures=["qa"]), CopyBench())


def test_the_summary_says_what_each_setting_costs_beside_all(tmp_path: Path, book: Book) -> None:
    items = planned(tmp_path, "qa", limit=8)
    right = {"all": 1.0, "without papers": 0.0, "system prompt": 1.0}
    said = CopyBench().summary(
        [done(one, {"qa_f1": right[one.setting], "qa_exact": right[one.setting], "qa_commonest": 0.0}) for one in items]
    )
    count = len(items) // 3
    [one] = said
    assert one.startswith(f"qa/lantern. all: {count} of {count} names that were left out are found (F1 1.00); always ")
    assert f" without papers: 0 of {count} names that were left out are found (F1 0.00)" in one
    assert one.endswith(
        " Its cost in F1 of names, against all: without papers 1.00 (1.00 to 1.00); system prompt 0.00 (0.00 to 0.00), "
        "not clearly any."
    )


def test_every_metric_to_compare_is_one_that_the_suite_has() -> None:
    assert {*CopyBench().compared} <= CopyBench().metrics.keys()
    assert {"qa_f1", "fluency"} <= {*CopyBench().compared}
