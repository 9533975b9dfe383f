"""Runs as durable DBOS workflows: started, cancelled, and taken up again by the next process after a kill.

Imports DBOS, which is slow to import: the app does so once its port is bound.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing

from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID
from dbos import error as dbos_error
from sqlalchemy import URL

from services.evaluation.settings import EvaluationSettings
from services.evaluation.store.runs import Store
from services.evaluation.work import Work
from shared.contracts.evaluation import Priority

_QUEUE = "evaluation-runs"
_WORKFLOW_VERSION = "evaluation-1"
"""DBOS takes up only workflows of its own version. It stays: a workflow here has no steps that could be others, since
what is done is in the store."""

_ORDER: dict[Priority, int] = {"high": 1, "normal": 2, "low": 3}
"""DBOS takes the smallest number first, and of one number the oldest."""

_UNDER_WAY = ("ENQUEUED", "DELAYED", "PENDING")

_GIVEN_UP = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
"""Of a workflow that DBOS has recovered a hundred times."""

_work: Work | None = None
"""DBOS is one in a process and calls workflows by their name; they find the process's work here."""


class Jobs:
    """Starts, carries on and cancels runs. One in a process, since DBOS is. Every call blocks."""

    def __init__(self, settings: EvaluationSettings, store: Store) -> None:
        self._settings, self._store = settings, store

    def start(self) -> None:
        """Launch DBOS and carry on whatever a process before this one left unfinished."""
        global _work  # noqa: PLW0603 - see there
        _work = Work(self._settings, self._store)
        url = self._settings.jobs_database()
        _prepare(url)
        config = DBOSConfig(
            name="candor-evaluation",
            system_database_url=url.render_as_string(hide_password=False),
            application_version=_WORKFLOW_VERSION,
            log_level="ERROR",
        )
        DBOS(config=config)
        DBOS.logger.addFilter(_worth_logging)
        DBOS.launch()
        DBOS.register_queue(
            _QUEUE, worker_concurrency=self._settings.runs, polling_interval_sec=0.2, on_conflict="always_update"
        )
        for run in self._store.unfinished():
            self._take_up(run)

    def queue(self, run: str) -> None:
        """Queue a stored run by its priority; once, however often it is called."""
        with SetWorkflowID(run), SetEnqueueOptions(priority=_ORDER[self._store.run(run).priority]):
            DBOS.enqueue_workflow(_QUEUE, evaluate, run)

    def cancel(self, run: str) -> None:
        """Stop a run: no further items, and the requests under way are dropped."""
        DBOS.cancel_workflow(run)

    def stop(self) -> None:
        """Let go of the runs under way; the next start carries them on."""
        DBOS.destroy()

    def _take_up(self, run: str) -> None:
        """DBOS carries on by itself what it knows to be under way, and of its version."""
        status = DBOS.get_workflow_status(run)
        if status is not None:
            if status.status in _UNDER_WAY and status.app_version in (None, _WORKFLOW_VERSION):
                return
            if status.status == _GIVEN_UP:
                self._store.end(run, "failed", error="The service ended again and again while it carried out this run.")
                return
            # another version's, or ended without the run's end: what is done is in the store, and the rest is not
            DBOS.delete_workflow(run)
        self.queue(run)


@DBOS.workflow(name="evaluate")
async def evaluate(run: str) -> None:
    """The workflow of a run."""
    assert _work is not None, "workflows are called after Jobs.start"
    await _work.carry_out(run)


def _prepare(url: URL) -> None:
    """A SQLite file keeps its journal's mode. DBOS leaves it at the slowest, and writes for every item."""
    if url.get_backend_name() == "sqlite" and url.database:
        with closing(sqlite3.connect(url.database, timeout=30)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def _worth_logging(record: logging.LogRecord) -> bool:
    """DBOS logs a cancelled workflow as an error with its traceback; it is what the user asked for."""
    return not (record.exc_info and isinstance(record.exc_info[1], dbos_error.DBOSAwaitedWorkflowCancelledError))
