"""An evaluation run while kill -9 takes the service, the model and the database: the scores of an undisturbed one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.embedded import RunningStack
from shared.settings import candor_home
from tests.postgres import Postgres, postgres

REQUEST = {"suite": "rag-qa", "limit": 8, "options": {"sets": ["squad", "coqa-cnn", "medmcqa"]}}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The pulled data, with databases and logs of its own."""
    for name in ("models", "questions", "retrieval", "texts", "tracing"):
        (tmp_path / name).symlink_to(candor_home() / name)
    return tmp_path


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    with postgres() as server:
        monkeypatch.setenv("CANDOR_EVALUATION_DATABASE_URL", server.url)
        # alone in its batch, so that the same question has the same answer to the last bit
        monkeypatch.setenv("CANDOR_EVALUATION_CONCURRENCY", "1")
        yield server


@pytest.mark.timeout(1800)
def test_a_run_through_three_kills_has_the_scores_of_one_without(home: Path, database: Postgres) -> None:
    with RunningStack(home) as stack, httpx.Client(base_url=stack.address, timeout=30, trust_env=False) as http:
        stack.wait()
        undisturbed = items_of(http, finished(http, stack, []))

        def database_dies() -> None:
            database.kill()
            time.sleep(5)  # the service is without it for a while
            database.start()

        deaths = [lambda: stack.kill("evaluation"), lambda: stack.kill("model"), database_dies]
        disturbed = items_of(http, finished(http, stack, deaths))

    assert {item["status"] for item in disturbed.values()} == {"scored"}
    for name, item in undisturbed.items():
        assert (disturbed[name]["output"], disturbed[name]["scores"]) == (item["output"], item["scores"]), name
    # the comparison means something: there are right answers and wrong ones
    assert {item["scores"]["contains_gold"] for item in undisturbed.values()} == {0.0, 1.0}


def finished(http: httpx.Client, stack: RunningStack, deaths: list[Callable[[], None]]) -> str:
    """The id of a run that has ended, after what was to die has died, evenly over its items."""
    created = http.post("/v1/evaluations", json=REQUEST)
    assert created.status_code == 202, created.text
    run: str = created.json()["id"]
    total = created.json()["progress"]["total"]
    marks = [total * (at + 1) // (len(deaths) + 1) for at in range(len(deaths))]
    until = time.monotonic() + 900
    while time.monotonic() < until:
        stack.revive()
        state = now(http, run)
        if state is None:
            time.sleep(0.2)
            continue
        if state["status"] not in ("queued", "running"):
            assert state["status"] == "succeeded", state
            assert not marks, f"it ended before all had died: {marks}"
            return run
        if marks and state["progress"]["done"] >= marks[0]:
            marks.pop(0)
            deaths.pop(0)()
        time.sleep(0.2)
    raise AssertionError(f"the run did not end: {now(http, run)}")


def now(http: httpx.Client, run: str) -> dict[str, Any] | None:
    """The run; None while the service, or its database, is down."""
    answer = http.get(f"/v1/evaluations/{run}")
    state: dict[str, Any] = answer.json()
    return state if answer.status_code == 200 else None


def items_of(http: httpx.Client, run: str) -> dict[str, dict[str, Any]]:
    """All items, by id."""
    page = http.get(f"/v1/evaluations/{run}/items", params={"limit": 1000}).json()["data"]
    return {item["id"]: item for item in page}
