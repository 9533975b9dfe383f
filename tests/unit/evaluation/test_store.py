"""The store: migrations, and transitions that happen once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, make_url

from services.evaluation.errors import AlreadyFinished, UnknownRun
from services.evaluation.store.database import migrate, open_database
from services.evaluation.store.runs import Store
from services.evaluation.store.tables import Base
from services.evaluation.suites.base import Answer, Plan, Planned
from shared.contracts.evaluation import RunRequest

ANSWER = Answer("user: Who?", "Anna", 1, 2.0, {"finish_reason": "stop"})


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(make_url(f"sqlite:///{tmp_path / 'new folder' / 'runs.db'}"))


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
