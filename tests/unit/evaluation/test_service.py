"""Creating runs when the database of jobs fails in between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from services.evaluation.endpoints import Endpoints
from services.evaluation.service import Evaluations
from services.evaluation.settings import EvaluationSettings
from services.evaluation.store.database import open_database
from services.evaluation.store.runs import Store
from services.evaluation.suites.rag_qa import RagQa
from shared.contracts.evaluation import RunRequest
from tests.contract.evaluation_support import write_questions


class Away:
    """A queue whose database is away for the first call."""

    def __init__(self) -> None:
        self.queued: list[str] = []
        self.calls = 0

    def queue(self, run: str) -> None:
        self.calls += 1
        if self.calls == 1:
            raise ConnectionError("the database of jobs is away")
        self.queued.append(run)


def test_a_request_sent_again_queues_the_run_that_was_stored_and_not_queued(tmp_path: Path) -> None:
    write_questions(tmp_path, 3)
    jobs: Any = Away()
    store = Store(open_database(make_url(f"sqlite:///{tmp_path / 'runs.db'}")))
    service = Evaluations(store, jobs, {"rag-qa": RagQa()}, Endpoints(EvaluationSettings()), tmp_path)
    request = RunRequest(suite="rag-qa", options={"sets": ["tales"]})
    with pytest.raises(ConnectionError):
        asyncio.run(service.create(request, "key"))
    again = asyncio.run(service.create(request, "key"))
    assert jobs.queued == [again.id]
    assert store.unfinished() == [again.id]
