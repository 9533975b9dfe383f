"""A run that another process of the service began: carried on from the store, by the model that began it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import make_url

from services.evaluation.endpoint import EndpointError
from services.evaluation.store.database import open_database
from services.evaluation.store.runs import Store
from services.evaluation.suites.registry import SUITES
from shared.contracts.evaluation import RunRequest
from tests.contract.endpoint_support import endpoint
from tests.unit.evaluation.work_support import WELL, Faulty, carried


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(open_database(make_url(f"sqlite:///{tmp_path / 'runs.db'}")))
    yield opened
    opened.close()


def half_done(store: Store, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    """A run killed after four items; the suite that asked them."""
    suite = Faulty()
    monkeypatch.setitem(SUITES, "faulty", suite)
    store.create("run", RunRequest(suite="faulty"), suite.plan(None, 10, 0, Path()), {"suite": "faulty/1"}, None)
    store.begin("run", suite.serves)
    for position in (0, 1, 2, 5):
        store.record("run", position, WELL, {"right": 1.0}, None)
    return suite


def test_a_run_is_carried_on_with_the_items_that_are_not_done(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = half_done(store, monkeypatch)
    ended = carried(store, suite, monkeypatch)
    assert (ended.status, ended.progress.done, ended.warnings) == ("succeeded", 10, [])
    assert sorted(suite.asked) == [f"q{n}@rag" for n in (3, 4, 6, 7, 8, 9)]


def test_a_run_whose_endpoint_serves_other_weights_after_a_restart_ends_and_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = half_done(store, monkeypatch)
    suite.serves = {"endpoint": "here", "weights": "two"}
    ended = carried(store, suite, monkeypatch)
    assert (ended.status, ended.progress.done, suite.asked) == ("failed", 4, [])
    assert "where weights was 'one' it is 'two' now" in (ended.error or "")
    assert ended.versions["weights"] == "one"
    report = store.report("run")
    assert report is not None
    assert report.cells[0].items == 4


def test_a_run_that_another_judge_would_go_on_with_ends_and_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = half_done(store, monkeypatch)
    store.begin("run", {"endpoint judge": "fair at http://there"})
    monkeypatch.setenv("CANDOR_EVALUATION_ENDPOINTS", '{"judge": {"url": "http://there", "model": "harsh"}}')
    ended = carried(store, suite, monkeypatch)
    assert (ended.status, suite.asked) == ("failed", [])
    assert "where endpoint judge was 'fair at http://there' it is 'harsh at http://there' now" in (ended.error or "")


def test_a_run_whose_endpoint_was_moved_goes_on_with_a_warning(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = half_done(store, monkeypatch)
    suite.serves = {"endpoint": "there", "weights": "one"}
    ended = carried(store, suite, monkeypatch)
    assert (ended.status, ended.progress.done) == ("succeeded", 10)
    assert ended.warnings == ["The endpoint was at here, and after 4 items at there."]


def test_a_run_that_had_no_item_yet_takes_the_weights_that_are_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = Faulty()
    store.create("run", RunRequest(suite="faulty"), suite.plan(None, 10, 0, Path()), {}, None)
    store.begin("run", {"weights": "none that answered"})
    assert carried(store, suite, monkeypatch).versions["weights"] == "one"


def test_a_run_during_which_the_model_alone_was_replaced_ends_and_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, experts = Faulty(), {"model": "b", "architecture": "mixtral"}
    suite.serves = {"endpoint": "here", "weights": "a/mixtral"}
    with endpoint(lambda path, _: (200, experts) if path == "/v1/experts" else (404, {})) as url:
        ended = carried(store, suite, monkeypatch, url=url)
    assert (ended.status, ended.progress.done) == ("failed", 10)
    assert "weights were 'a/mixtral' when the run began and are 'b/mixtral' at its end" in (ended.error or "")


def test_a_run_that_waited_is_told_of_the_judge_that_the_settings_have_by_then(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = Faulty()
    planned = suite.plan(None, 10, 0, Path())
    store.create("run", RunRequest(suite="faulty"), planned, {"endpoint judge": "fair at http://a"}, None)
    monkeypatch.setenv("CANDOR_EVALUATION_ENDPOINTS", '{"judge": {"url": "http://b", "model": "harsh"}}')
    ended = carried(store, suite, monkeypatch)
    assert (ended.status, ended.versions["endpoint judge"]) == ("succeeded", "harsh at http://b")
    assert ended.warnings == ["What is asked, with the texts in it, is sent to http://b."]


def test_a_run_that_was_planned_for_a_stack_asks_no_other_server(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = Faulty()
    request, kind = RunRequest(suite="faulty", endpoint="north"), {"asked as": "a Candor stack"}
    store.create("run", request, suite.plan(None, 10, 0, Path()), kind, None)
    monkeypatch.setenv("CANDOR_EVALUATION_ENDPOINTS", '{"north": {"url": "http://north", "model": "qwen"}}')
    ended = carried(store, suite, monkeypatch)
    assert (ended.status, suite.asked) == ("failed", [])
    assert "planned for a Candor stack, and the settings have 'north' as a server of qwen now" in (ended.error or "")


def test_an_endpoint_that_is_back_later_than_the_service_is_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, tries = half_done(store, monkeypatch), iter([False, True])

    def describe() -> Mapping[str, str]:
        if not next(tries):
            raise EndpointError("cannot be reached")
        return suite.serves

    suite.parts = {"describe": describe}
    assert carried(store, suite, monkeypatch).status == "succeeded"
