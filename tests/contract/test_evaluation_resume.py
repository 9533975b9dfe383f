"""A run outlives its process: kill -9, and an orderly stop."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.contract.evaluation_support import oracle, serving, write_questions

CONCURRENCY = 3


def test_a_killed_run_is_finished_by_the_next_process_without_asking_an_answered_item_again(tmp_path: Path) -> None:
    write_questions(tmp_path)
    with oracle() as endpoint:
        endpoint.delay = 0.1
        with serving(tmp_path, endpoint.url, concurrency=str(CONCURRENCY)) as first:
            run = first.create(limit=30, options={"sets": ["tales"]})["id"]
            queued = first.create(limit=2, options={"sets": ["facts"]})["id"]
            first.wait(run, done=25)
            assert first.get(queued)["status"] == "queued"
            first.kill()
        kept = _scored(tmp_path / "evaluation.db", run)
        with serving(tmp_path, endpoint.url, concurrency=str(CONCURRENCY)) as second:
            ended = second.wait(run)
            items = second.items(run)
            assert second.wait(queued)["progress"] == {"done": 4, "total": 4, "failed": 0}
    assert 25 <= len(kept) < 90
    assert (ended["status"], ended["progress"]) == ("succeeded", {"done": 90, "total": 90, "failed": 0})
    asked = {item["id"]: endpoint.asked[f"{run}.{item['id'].replace(':', '-').replace('@', '-')}"] for item in items}
    assert {asked[item] for item in kept} == {1}
    # what was under way at the kill had no answer yet, and is asked a second time
    assert sum(asked.values()) <= 90 + CONCURRENCY
    assert set(asked.values()) <= {1, 2}


def test_a_service_told_to_stop_in_mid_run_leaves_it_to_the_next_process(tmp_path: Path) -> None:
    write_questions(tmp_path, 10)
    with oracle() as endpoint:
        endpoint.delay = 0.2
        with serving(tmp_path, endpoint.url) as first:
            run = first.create(limit=10, options={"sets": ["tales"]})["id"]
            first.wait(run, done=4)
        endpoint.delay = 0.0
        with serving(tmp_path, endpoint.url) as second:
            assert second.wait(run)["progress"] == {"done": 30, "total": 30, "failed": 0}


def test_a_run_that_other_code_began_is_carried_on_whatever_dbos_has_of_it(tmp_path: Path) -> None:
    write_questions(tmp_path, 10)
    kinds = ["another step", "another version", "no end of the run", "given up"]
    with oracle() as endpoint:
        endpoint.delay = 0.3
        with serving(tmp_path, endpoint.url, concurrency="1", runs="4") as first:
            runs = {kind: first.create(limit=10, options={"sets": ["tales"]})["id"] for kind in kinds}
            for run in runs.values():
                first.wait(run, done=3)
            first.kill()
        kept = {run: _scored(tmp_path / "evaluation.db", run) for run in runs.values()}
        with sqlite3.connect(tmp_path / "evaluation-jobs.db") as jobs:
            jobs.execute("DELETE FROM operation_outputs")
            jobs.execute(
                "INSERT INTO operation_outputs (workflow_uuid, function_id, function_name) VALUES (?, 1, 'before')",
                (runs["another step"],),
            )
            change = "UPDATE workflow_status SET {} WHERE workflow_uuid = ?"
            jobs.execute(change.format("application_version = 'evaluation-0'"), (runs["another version"],))
            jobs.execute(change.format("status = 'ERROR'"), (runs["no end of the run"],))
            jobs.execute(change.format("status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'"), (runs["given up"],))
        endpoint.delay = 0.0
        with serving(tmp_path, endpoint.url) as second:
            ended = {kind: second.wait(run) for kind, run in runs.items()}
            items = {run: second.items(run) for run in runs.values()}
    given_up = ended.pop("given up")
    assert (given_up["status"], given_up["progress"]["done"]) == ("failed", len(kept[runs["given up"]]))
    assert "ended again and again" in given_up["error"]
    assert {kind: (run["status"], run["error"]) for kind, run in ended.items()} == dict.fromkeys(
        kinds[:-1], ("succeeded", None)
    )
    for run, done in kept.items():
        asked = {
            one["id"]: endpoint.asked[f"{run}.{one['id'].replace(':', '-').replace('@', '-')}"] for one in items[run]
        }
        assert len(done) >= 3
        assert {asked[item] for item in done} == {1}


def _scored(database: Path, run: str) -> set[str]:
    """The items that the database had when no process was there."""
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT id FROM evaluation_items WHERE run = ? AND status = 'scored'", (run,))
        return {identity for (identity,) in rows}
