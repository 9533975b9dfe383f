"""The store: migrations, and transitions that happen once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import IntegrityError

from services.evaluation.errors import AlreadyFinished, UnknownRun
from services.evaluation.store import database
from services.evaluation.store.database import migrate, open_database
from services.evaluation.store.runs import Outcome, Rescoring, Store
from services.evaluation.store.tables import Base
from services.evaluation.suites.base import Answer, Plan, Planned
from shared.contracts.evaluation import Report, RunRequest
from shared.contracts.figure import Plot, Series
from tests.postgres import postgres

ANSWER = Answer("user: Who?", "Anna", 1, 2.0, {"finish_reason": "stop"})


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgres() as server:
        yield server.url.replace("postgresql:", "postgresql+psycopg:")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    """An empty database."""
    if request.param == "sqlite":
        yield make_url(f"sqlite:///{tmp_path / 'new folder' / 'runs.db'}")
        return
    address = make_url(request.getfixturevalue("postgresql"))
    server = create_engine(address, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE evaluation")
        yield address.set(database="evaluation")
        connection.exec_driver_sql("DROP DATABASE evaluation WITH (FORCE)")
    server.dispose()


@pytest.fixture
def engine(url: URL) -> Engine:
    return open_database(url)


@pytest.fixture
def store(engine: Engine) -> Store:
    store = Store(engine)
    items = [Planned(f"q{n}@rag", f"q{n}", "tales", "rag", "Who?", ["Anna"], n, {}) for n in range(40)]
    store.create("run", RunRequest(suite="rag-qa"), Plan(items), {}, None)
    return store


def test_the_migrations_build_what_the_code_expects(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "evaluation_migrations"})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    migrate(engine)


def test_items_recorded_at_once_are_each_counted_once_and_numbered_without_a_gap(store: Store) -> None:
    store.begin("run", {})

    def record(position: int) -> bool:
        return store.record("run", position, ANSWER, {"f1": 1.0}, None)

    with ThreadPoolExecutor(8) as threads:
        kept = list(threads.map(record, [*range(40), *range(40)]))
    assert sum(kept) == 40
    assert store.run("run").progress.done == 40
    events = store.events("run", after=0)
    assert [event.number for event in events] == list(range(1, 43))


def test_nothing_is_kept_after_a_run_has_ended(store: Store) -> None:
    store.begin("run", {})
    ended = store.cancel("run")
    assert not store.record("run", 0, ANSWER, {"f1": 1.0}, None)
    assert not store.begin("run", {})
    assert not store.end("run", "succeeded")
    assert store.run("run") == ended
    assert store.items("run", status="scored") == []


def test_a_run_that_failed_cannot_be_cancelled(store: Store) -> None:
    store.end("run", "failed", error="no")
    with pytest.raises(AlreadyFinished):
        store.cancel("run")


def test_an_unknown_run_is_an_error_everywhere(store: Store) -> None:
    for ask in (store.run, store.items, store.report, store.cancel):
        with pytest.raises(UnknownRun):
            ask("none")


def test_unfinished_runs_are_those_to_carry_on(store: Store) -> None:
    assert store.unfinished() == ["run"]
    store.begin("run", {"endpoint": "here"})
    assert store.unfinished() == ["run"]
    assert store.run("run").versions == {"endpoint": "here"}
    store.end("run", "succeeded")
    assert store.unfinished() == []


def test_a_database_of_before_clusters_is_brought_up_to_date_with_its_runs(url: URL) -> None:
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir()
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).with_name("migrations")))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            'INSERT INTO evaluation_runs (id, suite, status, created, "limit", seed, options, versions, warnings,'
            " total, done, failed, events, report, idempotency_key, request) VALUES ('old', 'rag-qa', 'succeeded', 1,"
            " 100, 0, '{}', '{}', '[]', 1, 1, 0, 3, '{\"cells\": []}', 'key',"
            ' \'{"suite":"rag-qa","limit":100,"seed":0,"options":{}}\')'
        )
        connection.exec_driver_sql(
            'INSERT INTO evaluation_items (run, position, id, question_id, "set", setting, question, gold, seed, ask,'
            " status, prompt, output, scores, tokens, latency_ms, details) VALUES ('old', 0, 'q@rag', 'q', 'tales',"
            " 'rag', 'Who?', '[\"Anna\"]', 1, '{}', 'scored', 'Who?', 'Anna', '{\"f1\": 1.0}', 1, 2.0, '{}')"
        )
    store = Store(open_database(url))
    [item] = store.items("old")
    assert (item.cluster, item.scores) == ("q", {"f1": 1.0})
    run = store.run("old")
    assert (run.priority, run.rescored_from, run.metrics) == ("normal", None, [])
    assert store.report("old") is None
    # and the key that made it still stands for the same request
    again = store.by_key("key", RunRequest(suite="rag-qa"))
    assert again is not None
    assert again.id == "old"
    # and its answers can be scored again
    new = store.rescore("new", Rescoring(run="old"), "key 2", suite="rag-qa", versions={}, warnings=[])
    assert (new.progress.total, new.rescored_from) == (1, "old")
    [found] = store.to_rescore("new", -1, 10)
    assert (found.planned.cluster, found.planned.gold) == ("q", ["Anna"])


def test_what_no_database_keeps_is_kept_as_something_else(store: Store) -> None:
    bad = "half \ud800 and NUL \0"
    store.create(
        "bad", RunRequest(suite="rag-qa"), Plan([Planned(bad, bad, bad, bad, bad, [bad], 0, {bad: bad})]), {}, None
    )
    assert store.begin("bad", {"weights": bad})
    assert store.record("bad", 0, ANSWER, {}, None)
    store.begin("run", {})
    store.record("run", 0, Answer(bad, bad, 1, 2.0, {bad: [bad, float("nan")]}), {"f1": 1.0}, None)
    store.record("run", 1, None, {}, bad)
    plot = Plot(kind="line", title=bad, x_title="", y_title="", series=[Series(name="a", x=[1.0], y=[float("nan")])])
    report = Report(run=store.run("run"), metrics=["f1"], cells=[], comparisons=[], figures=[plot], summary=[bad])
    assert store.end("run", "succeeded", error=bad, report=report)
    good = "half \ufffd and NUL \ufffd"
    first, second = store.items("run")[:2]
    assert (first.output, first.details, second.error) == (good, {good: [good, None]}, good)
    assert (store.run("bad").versions, store.items("bad")[0].question) == ({"weights": good}, good)
    kept = store.report("run")
    assert kept is not None
    assert (kept.summary, kept.run.error) == ([good], good)
    assert isinstance(kept.figures[0], Plot)
    assert kept.figures[0].series[0].y == [None]


def test_of_an_error_that_is_too_long_the_beginning_is_kept_and_the_cut_is_marked(store: Store) -> None:
    store.begin("run", {})
    store.record("run", 0, None, {}, "no " * 1_000_000)
    store.record("run", 1, None, {}, "n" * 20_000)
    store.end("run", "failed", error=f"The last error: {'no ' * 1_000_000}")
    first, second = store.items("run")[:2]
    errors = [first.error or "", store.run("run").error or ""]
    assert all(error.endswith(" characters more]") and 20_000 < len(error) < 20_100 for error in errors)
    assert errors[0].endswith("[cut: 2,980,000 characters more]")
    assert second.error == "n" * 20_000
    assert max(len(event.data) for event in store.events("run", after=0)) < 30_000


def test_half_a_plan_is_no_run(store: Store) -> None:
    items = [Planned(f"q{n % 3}@rag", f"q{n}", "tales", "rag", "Who?", ["Anna"], n, {}) for n in range(5)]
    with pytest.raises(IntegrityError):
        store.create("twice", RunRequest(suite="rag-qa"), Plan(items), {}, None)
    with pytest.raises(UnknownRun):
        store.run("twice")


def test_two_requests_of_one_key_at_once_make_one_run(store: Store) -> None:
    items = [Planned(f"q{n}@rag", f"q{n}", "tales", "rag", "Who?", ["Anna"], n, {}) for n in range(50)]

    def create(number: int) -> str:
        return store.create(f"once-{number}", RunRequest(suite="rag-qa"), Plan(items), {}, "one key").id

    with ThreadPoolExecutor(8) as threads:
        assert len({*threads.map(create, range(8))}) == 1
    assert len([run for run in store.runs(after=None, limit=100) if run.id.startswith("once-")]) == 1


def test_answers_scored_again_are_counted_with_those_that_could_not_be(store: Store) -> None:
    store.begin("run", {})
    store.record("run", 0, ANSWER, {}, "cannot be scored")
    store.record("run", 1, ANSWER, {"f1": 1.0}, None)
    store.record("run", 2, None, {}, "HTTP 500")
    assert store.answered("run") == (2, 1)


def test_all_items_are_read_page_by_page_in_order_and_any_of_them_by_its_place(store: Store) -> None:
    items = [Planned(f"p{n}@rag", f"p{n}", "tales", "rag", "Who?", ["Anna"], n, {}, f"d{n % 3}") for n in range(450)]
    store.create("long", RunRequest(suite="rag-qa"), Plan(items), {}, None)
    found = store.all_items("long")
    assert len(found) == 450
    assert [item.id for item in found] == [item.id for item in items] == [item.id for item in found]
    assert [item.cluster for item in found[3:6]] == ["d0", "d1", "d2"]
    assert [item.id for item in found[448:2000]] == ["p448@rag", "p449@rag"]
    assert found[-1].id == "p449@rag"
    assert [item.id for item in found[4:0:-2]] == ["p4@rag", "p2@rag"]
    assert found[5:5] == []
    with pytest.raises(IndexError):
        found[450]


def test_a_rescored_run_has_the_answers_and_those_of_the_items_that_failed_have_the_error(store: Store) -> None:
    store.begin("run", {})
    store.record("run", 0, ANSWER, {"f1": 1.0}, None)
    store.record("run", 3, None, {}, "HTTP 500")
    store.end("run", "failed", error="no")
    new = store.rescore("new", Rescoring(run="run"), None, suite="rag-qa", versions={"suite": "2"}, warnings=[])
    assert new.progress.total == 2
    first, second = store.to_rescore("new", -1, 10)
    assert [one.position for one in store.to_rescore("new", 0, 10)] == [1]
    assert (first.planned.id, first.answer, second.answer, second.error) == ("q0@rag", ANSWER, None, "HTTP 500")
    assert store.record_all("new", [Outcome(0, ANSWER, {"f1": 0.5}, None), Outcome(1, None, {}, "HTTP 500")])
    assert store.to_rescore("new", -1, 10) == []
    assert not store.record_all("new", [Outcome(0, ANSWER, {"f1": 0.9}, None)])
    assert [item.scores for item in store.items("new")] == [{"f1": 0.5}, {}]
    assert store.run("new").progress.failed == 1
