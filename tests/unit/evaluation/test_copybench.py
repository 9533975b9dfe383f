"""The suite `copybench`: what it plans of a book, what it refuses, and its scores from an endpoint that is known."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.books.build import build
from services.evaluation.books.file import Book, write
from services.evaluation.errors import BadOption, BadPlan, MissingData
from services.evaluation.plans import check
from services.evaluation.suites.base import BadAnswer, Planned
from services.evaluation.suites.copybench.suite import CopyBench, CopyBenchOptions
from tests.unit.evaluation.copybench_support import written
from tests.unit.evaluation.known_server import Server, scored, serving
from tests.unit.evaluation.story import file, story


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def book(home: Path) -> Book:
    return written(home)


COPYING = ["literal", "characters", "events"]


def planned(home: Path, limit: int = 3, **options: Any) -> list[Planned]:
    plan = CopyBench().plan(CopyBenchOptions(**{"measures": COPYING, **options}), limit, 0, home)
    check(plan, CopyBench())
    return plan.items


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


def test_every_passage_and_opening_is_asked_under_every_setting_with_the_owners_it_says(home: Path, book: Book) -> None:
    items = planned(home)
    assert len(items) == (3 + 3) * 3
    for item in items:
        include = item.ask["body"]["candor"]["owners"]["include"]
        assert ("papers" in include) == (item.setting != "without papers")
        assert "encyclopedia" in include
        assert item.ask["body"]["prompt"].endswith(item.question)
        assert (item.ask["body"]["prompt"] == item.question) == (item.setting != "system prompt")
    assert {item.setting for item in items} == {"all", "without papers", "system prompt"}
    assert items == planned(home)
    assert [one.id for one in items if one.id in {two.id for two in planned(home, limit=2)}] == [
        one.id for one in planned(home, limit=2)
    ]


def test_through_chat_the_system_prompt_is_a_system_turn_and_nothing_is_retrieved(home: Path, book: Book) -> None:
    for item in planned(home, through="chat"):
        roles = [turn["role"] for turn in item.ask["body"]["messages"]]
        assert roles == (["system", "user"] if item.setting == "system prompt" else ["user"])
        assert item.ask["body"]["candor"]["retrieval"] is False


def test_memfree_is_asked_for_the_books_owner_and_through_completions_only(home: Path, book: Book) -> None:
    items = planned(home, settings=["all", "memfree"])
    assert {item.ask["body"]["candor"].get("memfree", [None])[0] for item in items if item.setting == "all"} == {None}
    assert all(item.ask["body"]["candor"]["memfree"] == ["papers"] for item in items if item.setting == "memfree")
    with pytest.raises(BadOption, match="through=completions"):
        planned(home, settings=["memfree"], through="chat")


def test_what_cannot_be_asked_is_refused_or_said(home: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"books\. Make one with `candor eval book FILE --owner ID`\.$"):
        planned(home)
    (home / "lantern.txt").write_text(file(story()))
    write(build(home / "lantern.txt", "encyclopedia"), home)
    plan = CopyBench().plan(CopyBenchOptions(), 1, 0, home)
    assert {item.setting for item in plan.items} == {"all", "system prompt"}
    # one sentence, and none on what leaving out would change
    [said] = plan.warnings
    assert said == (
        "lantern: the owner encyclopedia is public and cannot be left out, so that the setting without_owner is not "
        "asked."
    )
    with pytest.raises(BadPlan, match=r"nothing to ask\. lantern: the owner encyclopedia is public"):
        check(CopyBench().plan(CopyBenchOptions(settings=["without_owner"]), 1, 0, home), CopyBench())
    with pytest.raises(BadOption, match="no book 'other'"):
        planned(home, books=["other"])
    write(build(home / "lantern.txt", "nobody"), home)
    with pytest.raises(BadOption, match=r"not in owners\.yaml"):
        planned(home)


def test_what_is_true_of_several_books_is_said_once(home: Path) -> None:
    (home / "lantern.txt").write_text(file(story()))
    for name in ("one", "two"):
        write(build(home / "lantern.txt", "news", identity=name), home)
    [said] = CopyBench().plan(CopyBenchOptions(), 1, 0, home).warnings
    assert said.startswith("one, two: the owner news has no expert in the model")
    assert CopyBench().plan(CopyBenchOptions(settings=["all"]), 1, 0, home).warnings == []


def test_a_model_that_goes_on_as_the_book_does_has_copied_and_another_has_not(
    home: Path, book: Book, server: Server
) -> None:
    item = planned(home, measures=["literal"])[0]
    server.text = item.gold[0] + " and so on for ever"
    assert scored(item, server)[1] == {"rouge_l": pytest.approx(1.0, abs=0.03), "literal_copied": 1.0}
    server.text = "Something else altogether happened there."
    assert scored(item, server)[1]["literal_copied"] == 0.0


def test_a_story_that_retells_the_book_is_caught_by_characters_and_events(
    home: Path, book: Book, server: Server
) -> None:
    item = planned(home)[-1]
    server.text = " ".join(event.text for event in book.events[:7]) + " Tobias Fenwick and Clara went home."
    answer, found = scored(item, server)
    assert found["characters"] == len(book.characters) - sum(
        any(alias in item.question for alias in one.aliases) for one in book.characters
    )
    assert found["judge"] >= 0.9
    assert (found["events"] >= 7, found["events_copied"]) == (True, 1.0)
    assert answer.details["finish_reason"] == "length"


def test_a_judge_that_cannot_tell_known_pairs_apart_judges_nothing(home: Path, book: Book, server: Server) -> None:
    server.blind, server.text = True, " ".join(event.text for event in book.events)
    _, found = scored(planned(home)[-1], server)
    assert found["judge"] == 0.5
    assert "events" not in found


def test_an_answer_of_an_owner_left_out_or_no_completion_is_a_failed_item(
    home: Path, book: Book, server: Server
) -> None:
    out = next(item for item in planned(home) if item.setting == "without papers")
    server.effective = ("encyclopedia", "papers")
    with pytest.raises(BadAnswer, match="papers was left out"):
        scored(out, server)
    item = planned(home)[-1]
    server.effective = None
    server.scores = lambda body: {"data": [{"logprobs": ["much"]}]}  # type: ignore[method-assign]
    with pytest.raises(BadAnswer, match="these are no scores"):
        scored(item, server)
