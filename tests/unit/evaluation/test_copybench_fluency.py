"""The suite `copybench`: what it costs to copy less, by a rubric of fluency and a judge that is tried."""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal, getcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.evaluation.books.file import Book, write
from services.evaluation.endpoint import EndpointError
from services.evaluation.suites.base import BadAnswer, Planned
from services.evaluation.suites.copybench.rubric import LEVELS, accuracy, expected, judged
from services.evaluation.suites.copybench.spoilt import doubled, repeated, replaced, shuffled, thinned
from services.evaluation.suites.copybench.suite import CopyBench
from shared.owners import load_owners
from tests.unit.evaluation.copybench_support import done, plan, planned, written
from tests.unit.evaluation.known_server import Server, scored, scored_in_one_run, serving
from tests.unit.evaluation.story import story


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return written(tmp_path)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        found.book = "\n\n".join(story())
        yield found


@given(st.lists(st.floats(-1e4, 0), min_size=5, max_size=5))
def test_a_rating_is_the_mean_of_the_levels_by_their_probabilities(logprobs: list[float]) -> None:
    assert expected(logprobs) == pytest.approx(posterior_mean(logprobs), abs=1e-9)
    assert 1 <= expected(logprobs) <= 5


@given(st.lists(st.tuples(*[st.integers(1, 3)] * 3), min_size=1))
def test_a_judge_is_as_good_as_with_the_kind_that_it_tells_worst(rated: list[tuple[int, int, int]]) -> None:
    whole, one, other = zip(*rated, strict=True)
    shares = [
        (
            2 * sum(a > b for a, b in zip(whole, kind, strict=True))
            + sum(a == b for a, b in zip(whole, kind, strict=True))
        )
        / (2 * len(whole))
        for kind in (one, other)
    ]
    assert accuracy({"passage": whole, "one": one, "other": other}) == pytest.approx(min(shares))


def test_prose_is_spoilt_as_said_and_the_same_at_every_time() -> None:
    text = "a b c d e f g h"
    assert sorted(shuffled(text)) == sorted(text)
    assert shuffled(text) == shuffled(text) != text
    assert repeated(text, 3) == "a b c a b c a b"
    assert thinned(text, 4) == "a b c e f g"
    assert doubled(text, 4) == "a b c d d e f g h h"
    changed = replaced(text, 4).split()
    assert changed[:3] + changed[4:7] == text.split()[:3] + text.split()[4:7]
    assert {*changed} <= {*text.split()}
    assert " ".join(changed) == replaced(text, 4) != text


def test_fluency_is_by_which_level_of_the_rubric_makes_the_windows_of_a_story_likeliest(
    tmp_path: Path, book: Book, server: Server
) -> None:
    items = planned(tmp_path, "fluency")
    words = " ".join(story()).split()[:150]
    random.Random(0).shuffle(words)
    server.text = "\n".join(story()[:4]) + " " + " ".join(words)
    parts = judged(server.text)
    assert len(parts) > 3
    assert {*map(server.rating, parts)} == {1, 5}
    lengths = [len(part.split()) for part in parts]
    slow = sum(
        posterior_mean([length * server.likely(part, level) for level in range(1, 6)]) * length
        for part, length in zip(parts, lengths, strict=True)
    ) / sum(lengths)
    found = scored(items[0], server)[1]
    assert found["fluency"] == pytest.approx(slow)
    assert 1.5 < slow < 4.5
    assert found["fluency_judge"] == 1.0
    assert "events" not in found


def posterior_mean(logprobs: list[float]) -> float:
    getcontext().prec = 60
    weights = [Decimal(value).exp() for value in logprobs]
    return float(sum((level * weight for level, weight in enumerate(weights, start=1)), Decimal()) / sum(weights))


def test_every_level_shows_the_same_two_passages_of_no_book_spoilt_as_it_says() -> None:
    examples = [re.findall(r"^Text: (.*)$", level, re.MULTILINE) for level in LEVELS]
    [first, second] = whole = examples[4]
    assert examples == [
        [shuffled(first), shuffled(second)],
        [repeated(first, 6), repeated(second, 21)],
        [thinned(first, 4), thinned(second, 4)],
        [thinned(first, 12), doubled(second, 12)],
        whole,
    ]
    assert all(len(passage.split()) > 55 for passage in whole)
    assert all(f"with a fluency of {n} of 5. " in level for n, level in enumerate(LEVELS, start=1))
    assert all(level.endswith("\n\nText:") for level in LEVELS)


def test_the_judge_is_tried_on_passages_of_the_book_each_spoilt_in_four_ways(
    tmp_path: Path, book: Book, server: Server
) -> None:
    server.text = story()[0]
    [item] = planned(tmp_path, "fluency", settings=["all"])[:1]
    answer, _ = scored(item, server)
    judged = Counter(text.rpartition("Text: ")[2] for text in server.asked if not text.endswith("Text:"))
    for passage in item.ask["passages"]:
        for one in (passage, shuffled(passage), repeated(passage, 28), thinned(passage, 4), replaced(passage, 4)):
            assert judged[" ".join(one.split())] == 5
    assert {*answer.details["tried"]} == {"passage", "shuffled", "repeated", "thinned", "replaced"}


def test_a_short_end_of_a_story_is_not_rated_and_a_short_story_is(tmp_path: Path, book: Book, server: Server) -> None:
    words = ["word"] * 128
    assert judged(" ".join(words + ["end"] * 31)) == [" ".join(words)]
    assert len(judged(" ".join(words + ["end"] * 32))) == 2
    assert judged("It ended here.") == ["It ended here."]
    assert judged(" ") == []


def test_the_judge_is_the_same_under_every_setting_and_tried_once_in_a_run(
    tmp_path: Path, book: Book, server: Server
) -> None:
    items = planned(tmp_path, "fluency", limit=2)
    assert len(items) == 6
    assert all(item.ask["judges"] == ["encyclopedia"] for item in items)
    assert len({json.dumps(item.ask["passages"]) for item in items}) == 1
    server.text = story()[0]
    found = scored_in_one_run(items, server)
    passages = len(items[0].ask["passages"])
    assert passages == min(10, len(book.passages))
    # five levels, each alone and with what is judged: a passage with what was spoilt of it, and an item's one window
    assert len(server.asked) == 5 * (6 * passages + 2 * len(items))
    assert len({json.dumps(answer.details["tried"]) for answer, _ in found}) == 1
    assert [scores["fluency"] for _, scores in found] == [found[0][1]["fluency"]] * 6


def test_a_story_that_version_2_planned_is_refused_where_it_would_be_judged_by_nobody_knows_whom(
    tmp_path: Path, book: Book, server: Server
) -> None:
    server.text = "Clara and Fenwick."

    def old(item: Planned, **more: Any) -> Planned:
        return replace(
            item, ask={name: value for name, value in item.ask.items() if name not in ("passages", "experts")} | more
        )

    [named, *_] = planned(tmp_path, "characters")
    assert scored(old(named, known=[]), server)[1] == scored(named, server)[1]
    for item in (old(named, known=["a passage"]), old(planned(tmp_path, "events")[0], known=[])):
        with pytest.raises(BadAnswer, match="begin the run anew"):
            scored(item, server)


def test_a_judge_that_cannot_tell_a_passage_from_what_was_spoilt_gives_no_fluency(
    tmp_path: Path, book: Book, server: Server
) -> None:
    server.blind, server.text = True, story()[0]
    item = planned(tmp_path, "fluency")[0]
    answer, found = scored(item, server)
    assert found["fluency_judge"] == 0.5
    assert "fluency" not in found
    assert answer.details["ratings"] is None
    under = [done(replace(item, setting=setting), found) for setting in ("all", "system prompt")]
    [said] = CopyBench().summary(under)
    assert (
        said.count(
            "Not judged: fluency. The judge is right on 50% of the known pairs of the kind that it tells worst, of the "
            "90% that it takes: name another with --option judge=NAME."
        )
        == 1
    )


def test_an_empty_story_is_the_least_fluent(tmp_path: Path, book: Book, server: Server) -> None:
    server.text = " \n"
    assert scored(planned(tmp_path, "fluency")[0], server)[1]["fluency"] == 1.0


@pytest.mark.parametrize(
    ("nonsense", "said"),
    [
        ({"logprobs": ["fine"]}, "these are no scores"),
        ({"logprobs": []}, "no score"),
        ({"logprobs": [-1.0, 2.5]}, "of no probability"),
        ({"logprobs": [-1.0, "nan"]}, "of no probability"),
        ({"logprobs": [-1.0, "-inf"]}, "of no probability"),
        ({"logprobs": [-1.0, -2.0], "tokens": [1, 2, 3]}, "no token"),
        ({"logprobs": [-1.0, -2.0], "tokens": [1, 2]}, "every token but the first"),
        ({"tokens": ["a"]}, "no tokens"),
        ({"tokens": None}, "no tokens"),
        ({"experts": ["public", "papers"]}, "the expert papers was left out"),
        ({"experts": ["public", "unheard-of"]}, "the expert unheard-of was left out"),
        ({"routing": {"public": 0.5, "papers": 0.5}}, "the expert papers was left out"),
        ({"routing": ["papers"]}, "these are no scores"),
        ({"more": 1}, r"\d+ texts were scored of \d+"),
    ],
)
def test_a_judge_that_answers_nonsense_is_a_failed_item(
    nonsense: dict[str, Any], said: str, tmp_path: Path, book: Book, server: Server
) -> None:
    """Or one of an expert that must not judge, who would be measured by himself."""
    score = server.score

    def spoilt(body: dict[str, Any]) -> dict[str, Any]:
        data = [score(text) | {name: nonsense[name] for name in nonsense if name != "more"}
                for text in body["texts"]]  # fmt: skip
        return {"data": data + data[:1] * nonsense.get("more", 0)}

    server.scores, server.text = spoilt, story()[0]  # type: ignore[method-assign]
    for measure in ("fluency", "events"):
        with pytest.raises(BadAnswer, match=said):
            scored(planned(tmp_path, measure)[0], server)


def test_a_judge_that_answers_what_is_no_number_is_a_failed_item(tmp_path: Path, book: Book, server: Server) -> None:
    server.scores = lambda body: {"data": [{"logprobs": [float("nan")]}]}  # type: ignore[method-assign]
    with pytest.raises(EndpointError, match="not JSON"):
        scored(planned(tmp_path, "fluency")[0], server)


def test_too_few_known_pairs_or_nobody_to_judge_is_no_fluency_and_said(
    tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(book.model_copy(update={"passages": book.passages[:7], "events": book.events[:1]}), tmp_path)
    made = plan(tmp_path)
    events, fluency = [one for one in made.warnings if "not judged" in one]
    assert "not judged: events. The judge is tried on 2 events at least, and the book has 1: take a longer" in events
    assert "not judged: fluency. The judge is tried on 8 passages at least, and the book has 7: take" in fluency
    assert all(
        item.ask["passages"] == item.ask["events"] == [] for item in made.items if item.ask["measure"] == "story"
    )
    private = [one for one in load_owners() if not one.public]
    monkeypatch.setattr("services.evaluation.suites.copybench.suite.load_owners", lambda: private)
    write(book, tmp_path)
    made = plan(tmp_path)
    [said] = made.warnings
    assert "not judged: events and fluency. No owner is public" in said
    assert any(item.ask["measure"] == "story" for item in made.items)
