"""What a run becomes when its suite, its endpoint or its database fails: no fault goes further than its place."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from services.evaluation.endpoint import EndpointError
from services.evaluation.store import patience
from services.evaluation.store.database import open_database
from services.evaluation.store.runs import Store
from services.evaluation.suites.base import Answer, BadAnswer, Plan, Planned
from shared.contracts.figure import Plot, Series
from tests.unit.evaluation.work_support import WELL, Faulty, carried


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(open_database(make_url(f"sqlite:///{tmp_path / 'runs.db'}")))
    yield opened
    opened.close()


def leaving() -> Any:
    sys.exit("goodbye")


def raising(fault: BaseException) -> Callable[..., Any]:
    def part(*_: Any) -> Any:
        raise fault

    return part


class Wordless(Exception):
    def __str__(self) -> str:
        return str(1 / 0)


async def itself_cancelled() -> Any:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(10)


def deep(levels: int) -> dict[str, Any]:
    found = dict[str, Any]()
    for _ in range(levels):
        found = {"in": found}
    return found


def details(value: Any) -> Callable[[Answer], Answer]:
    return lambda answer: Answer(answer.prompt, answer.output, 1, 2.0, value)


ANSWERS: dict[str, tuple[Callable[..., Any], str]] = {
    "exits": (lambda _: leaving(), "The suite 'faulty' failed in answer: SystemExit: goodbye"),
    "interrupts": (raising(KeyboardInterrupt()), "failed in answer: KeyboardInterrupt"),
    "raises": (raising(ZeroDivisionError("no")), "failed in answer: ZeroDivisionError: no"),
    "wordless": (raising(Wordless()), "failed in answer: Wordless"),
    "cancels itself": (lambda _: itself_cancelled(), "failed in answer: CancelledError"),
    "another task's cancel": (raising(asyncio.CancelledError()), "failed in answer: CancelledError"),
    "no answer": (lambda _: "Anna", "no Answer, but of the type str"),
    "no output": (lambda _: Answer("Who?", None, 1, 2.0, {}), "prompt and output are to be texts"),  # type: ignore[arg-type]
    "true tokens": (lambda _: Answer("Who?", "A", True, 2.0, {}), "says that it has 'True' tokens"),
    "no latency": (lambda _: Answer("Who?", "A", 1, float("nan"), {}), "latency_ms is 'nan'"),
    "no object": (details([1]), "are to be an object: they are of the type list"),
    "no JSON": (details({"when": {1, 2}}), "no JSON"),
    "too deep": (details(deep(200)), "nested more than 100 deep"),
    "much too deep": (details(deep(100_000)), "no JSON"),
}

SCORES: dict[str, tuple[Callable[..., Any], str]] = {
    "exits": (leaving, "failed in score: SystemExit: goodbye"),
    "stops": (raising(StopIteration()), "failed in score: StopIteration"),
    "no scores": (lambda: [1.0], "numbers by name: they are of the type list"),
    "no number": (lambda: {"right": float("nan")}, "right is 'nan', of which no mean"),
    "no end": (lambda: {"right": float("-inf")}, "right is '-inf', of which no mean"),
    "too great": (lambda: {"right": 10**400}, "of which no mean"),
    "a text": (lambda: {"right": "1.0"}, "right is '1.0', of which no mean"),
    "a truth": (lambda: {"right": True}, "right is 'True', of which no mean"),
    "nothing": (lambda: {"right": None}, "right is 'None', of which no mean"),
    "another name": (lambda: {"wrong": 1.0}, "no metric of the suite is made of the score 'wrong'; its metrics: right"),
    "no name": (lambda: {1: 1.0}, "no metric of the suite is made of the score 1"),
}


class Each(Faulty):
    """An item for each fault, and one without."""

    def plan(self, options: Any, limit: int, seed: int, home: Path) -> Plan:
        names = [f"answer: {name}" for name in ANSWERS] + [f"score: {name}" for name in SCORES] + ["well"]
        return Plan([Planned(name, name, "set", "rag", "Who?", ["Anna"], 0, {}) for name in names])

    async def answer(self, planned: Planned, endpoint: Any) -> Any:
        part, _, name = planned.id.partition(": ")
        found = ANSWERS[name][0](WELL) if part == "answer" else WELL
        return await found if asyncio.iscoroutine(found) else found

    def score(self, planned: Planned, answer: Answer) -> Any:
        part, _, name = planned.id.partition(": ")
        return SCORES[name][0]() if part == "score" else {"right": 1.0}


def test_whatever_a_suite_does_in_an_item_costs_that_item(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_EVALUATION_FAILURE_RATE", "1")
    ended = carried(store, Each(), monkeypatch)
    errors = {item.id: item.error for item in store.items("run")}
    says = {"answer": ANSWERS, "score": SCORES}
    told = {f"{part}: {name}": text for part, faults in says.items() for name, (_, text) in faults.items()}
    assert {name: text for name, text in told.items() if text not in (errors[name] or "")} == {}, errors
    assert (ended.status, ended.progress.failed, errors["well"]) == ("succeeded", len(told), None)
    report = store.report("run")
    assert report is not None
    assert (report.cells[0].items, report.cells[0].failed) == (1, len(told))


@pytest.mark.parametrize(
    "scores",
    [{"right": 0.5, "truncated": 1.0, "unparsed": 0.0}, {"right": 1}, {}],
    ids=["rates", "a whole number", "none"],
)
def test_scores_of_metrics_and_rates_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch, scores: Any) -> None:
    carried(store, Faulty(score=lambda: scores), monkeypatch)
    assert store.items("run")[3].scores == scores


def test_a_score_that_is_for_the_suite_alone_is_kept_if_it_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite: Any = Faulty(score=lambda: {"overlap": 0.5})
    suite.unreported = ["overlap"]
    assert carried(store, suite, monkeypatch).progress.failed == 0


def test_a_suite_without_metrics_has_scores_of_any_name(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = Faulty(score=lambda: {"acc": 0.5})
    suite.metrics, suite.compared = {}, ()
    assert carried(store, suite, monkeypatch).progress.failed == 0


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (leaving, "The suite 'faulty' failed in describe: SystemExit: goodbye"),
        (lambda: None, "The suite 'faulty' failed in describe: TypeError: what it gave is of the type NoneType"),
        (lambda: {"weights": 1}, "The suite 'faulty' failed in describe: TypeError: what it gave is of the type dict"),
        (raising(EndpointError("nobody there")), "nobody there"),
        (raising(BadAnswer("no model")), "no model"),
    ],
)
def test_a_fault_in_describing_ends_the_run_and_says_whose_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch, fault: Callable[..., Any], says: str
) -> None:
    ended = carried(store, Faulty(describe=fault), monkeypatch)
    assert (ended.status, ended.progress.done) == ("failed", 0)
    assert says in (ended.error or "")


def plot(x: list[Any], **more: Any) -> Plot:
    series = Series.model_construct(name="a", x=x, y=[1.0], low=None, high=None)
    return Plot.model_construct(
        **{"kind": "line", "title": "t", "x_title": "", "y_title": "", "series": [series], **more}
    )


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("summary", leaving),
        ("summary", lambda: "one text"),
        ("summary", lambda: [1]),
        ("summary", raising(BadAnswer("none"))),
        ("figures", leaving),
        ("figures", lambda: ["a figure"]),
        ("figures", lambda: [plot([float("nan")])]),
        ("figures", lambda: [plot([1.0], kind="pie")]),
        ("contrasts", leaving),
        ("contrasts", lambda: [("rag",)]),
        ("contrasts", lambda: [("rag", ["rag"])]),
    ],
)
def test_a_fault_in_telling_costs_the_report_that_part(
    store: Store, monkeypatch: pytest.MonkeyPatch, part: str, fault: Callable[..., Any]
) -> None:
    assert carried(store, Faulty(**{part: fault}), monkeypatch).status == "succeeded"
    report = store.report("run")
    assert report is not None
    assert report.cells[0].scores["right"].mean == 1
    [said] = report.summary
    assert said.startswith(("The suite 'faulty' failed in " + part, "none"))


@pytest.mark.parametrize("committed", [False, True])
def test_a_run_whose_database_is_away_at_its_end_ends_once_it_is_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    monkeypatch.setattr(patience, "_PAUSE_SECONDS", 0.01)
    kept, calls = store.end, list[str]()

    def end(run: str, status: Any, **more: Any) -> bool:
        calls.append(status)
        if committed:
            kept(run, status, **more)
        if len(calls) < 5:
            raise OperationalError("", {}, Exception("away"))
        return kept(run, status, **more)

    monkeypatch.setattr(Store, "end", lambda _, run, status, **more: end(run, status, **more))
    ended = carried(store, Faulty(), monkeypatch)
    assert (ended.status, ended.error, ended.progress.done) == ("succeeded", None, 10)
    assert store.report("run") is not None


@pytest.mark.parametrize("made_of_it", [None, BadAnswer("I was interrupted")], ids=["an answer", "a fault"])
def test_a_cancelled_run_drops_what_is_under_way_though_the_suite_does_not_let_go(
    store: Store, monkeypatch: pytest.MonkeyPatch, made_of_it: Exception | None
) -> None:
    async def clings() -> Answer:
        await asyncio.to_thread(store.cancel, "run")
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError as cancelled:
            if made_of_it is None:
                return WELL
            raise made_of_it from cancelled
        raise AssertionError("never cancelled")

    suite = Faulty(answer=clings)
    # one at a time: what comes after the fourth is not asked
    ended = carried(store, suite, monkeypatch, concurrency=1)
    assert (ended.status, ended.error) == ("cancelled", None)
    assert suite.asked == [f"q{n}@rag" for n in range(4)]


def test_a_score_that_takes_long_keeps_no_other_item_waiting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def waits() -> dict[str, float]:
        until = time.monotonic() + 15
        while time.monotonic() < until:
            if store.run("run").progress.done == 9:
                return {"right": 1.0}
            time.sleep(0.01)
        return {"right": 0.0}

    carried(store, Faulty(score=waits), monkeypatch)
    assert store.items("run")[3].scores == {"right": 1.0}
