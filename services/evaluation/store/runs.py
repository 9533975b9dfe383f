"""The store of runs: every change is one transaction that leaves run, items and events in agreement."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from pydantic import BaseModel
from sqlalchemy import JSON, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.evaluation.errors import AlreadyFinished
from services.evaluation.store import wire
from services.evaluation.store.clean import clean, short
from services.evaluation.store.reading import UNFINISHED, Reader
from services.evaluation.store.tables import EventRow, ItemRow, RunRow
from services.evaluation.suites.base import Answer, Plan, Planned
from shared.contracts.evaluation import Report, RescoreRequest, Run, RunRequest, RunStatus

_PAGE = 1000
"""Items inserted at a time."""


class Rescoring(RescoreRequest):
    """A request to score the answers of a run again, and which run's: what an Idempotency-Key stands for."""

    run: str


@dataclass(frozen=True)
class Outcome:
    """What became of the item at a position: its answer and scores, or an error (and the answer, if there was one)."""

    position: int
    answer: Answer | None
    scores: Mapping[str, float]
    error: str | None


class Store(Reader):
    """What can be read, and every change. Blocks; safe from several threads and processes."""

    def create(self, run: str, request: RunRequest, plan: Plan, versions: Mapping[str, str], key: str | None) -> Run:
        """Queue a run with all its items. With an Idempotency-Key seen before, the run it made. Raises KeyReused."""
        row = _queued(
            run,
            request,
            key,
            suite=request.suite,
            limit=request.limit,
            seed=request.seed,
            options=request.options,
            endpoint=request.endpoint,
            versions=clean({**versions, **plan.versions}),
            warnings=clean(plan.warnings),
            total=len(plan.items),
        )
        items = (_planned(run, at, item) for at, item in enumerate(plan.items))

        def add(session: Session) -> None:
            while page := list(islice(items, _PAGE)):
                session.execute(insert(ItemRow), page)

        return self._insert(row, add, request, key)

    def rescore(
        self,
        run: str,
        request: Rescoring,
        key: str | None,
        *,
        suite: str,
        versions: Mapping[str, str],
        warnings: list[str],
    ) -> Run:
        """Queue a run of another's answers, copied as they are: items that run did not come to are left out.

        With an Idempotency-Key seen before, the run it made. Raises KeyReused, UnknownRun.
        """
        of = self.run(request.run)
        row = _queued(
            run,
            request,
            key,
            suite=suite,
            limit=of.limit,
            seed=of.seed,
            options=of.options,
            endpoint=of.endpoint,
            versions={**of.versions, **versions},
            warnings=[*of.warnings, *warnings],
            total=of.progress.done,
            rescored_from=of.id,
            metrics=request.metrics,
        )
        place = func.row_number().over(order_by=ItemRow.position) - 1
        new = {"run": literal(run), "position": place, "status": literal("planned"), "scores": literal({}, JSON)}
        columns = [new.get(column.name, column) for column in ItemRow.__table__.columns]
        copied = select(*columns).where(ItemRow.run == of.id, ItemRow.status != "planned")

        def add(session: Session) -> None:
            session.execute(insert(ItemRow).from_select([column.name for column in ItemRow.__table__.columns], copied))

        return self._insert(row, add, request, key)

    def _insert(self, row: RunRow, add: Callable[[Session], None], request: BaseModel, key: str | None) -> Run:
        """A new run with the items that `add` adds; when its key has come before, the run of then."""
        try:
            with Session(self._engine) as session, session.begin():
                session.add(row)
                session.flush()
                add(session)
                return _announce(session, row)
        except IntegrityError:
            found = self.by_key(key, request)
            if found is None:
                raise
            return found

    def begin(self, run: str, versions: Mapping[str, str], warnings: Sequence[str] = ()) -> bool:
        """Queued to running, with what was learned of the endpoint. False if the run has ended already."""
        with Session(self._engine) as session, session.begin():
            row = _lock(session, run, status="running")
            if row is None:
                return False
            row.versions = {**row.versions, **clean(versions)}
            row.warnings = list(dict.fromkeys([*row.warnings, *clean(warnings)]))
            _announce(session, row)
            return True

    def end(self, run: str, status: RunStatus, *, error: str | None = None, report: Report | None = None) -> bool:
        """To a final status, once: False if the run has ended already."""
        with Session(self._engine) as session, session.begin():
            row = _lock(session, run, status=status)
            if row is None:
                return False
            row.finished, row.error = int(time.time()), clean(short(error))
            ended = _announce(session, row)
            if report is not None:
                row.report = clean(report.model_copy(update={"run": ended}).model_dump(mode="json"))
            return True

    def cancel(self, run: str) -> Run:
        """End a run as cancelled; again is no error. Raises UnknownRun, AlreadyFinished."""
        self.end(run, "cancelled")
        now = self.run(run)
        if now.status != "cancelled":
            raise AlreadyFinished(run, now.status)
        return now

    def record(
        self, run: str, position: int, answer: Answer | None, scores: Mapping[str, float], error: str | None
    ) -> bool:
        """Keep what became of an item, once. False if the run has ended or the item is done: nothing is kept then."""
        return self.record_all(run, [Outcome(position, answer, scores, error)])

    def record_all(self, run: str, outcomes: Sequence[Outcome]) -> bool:
        """The same of several items at once. False if the run has ended or one of them is done: none is kept then."""
        with Session(self._engine) as session, session.begin():
            row = _lock(session, run)
            items = [session.get_one(ItemRow, (run, outcome.position)) for outcome in outcomes]
            if row is None or any(item.status != "planned" for item in items):
                return False
            for item, outcome in zip(items, outcomes, strict=True):
                _fill(item, outcome)
                row.done, row.failed = row.done + 1, row.failed + (outcome.error is not None)
                _append(session, row, "item", wire.finished(item, row).model_dump_json())
            return True


def _lock(session: Session, run: str, *, status: RunStatus | None = None) -> RunRow | None:
    """The run if it is unfinished, locked to the end of the transaction, and with its new status.

    The transaction begins with an UPDATE: on both databases it is what takes the lock, before anything is read.
    """
    change = {"status": status} if status is not None else {"events": RunRow.events}
    unfinished = update(RunRow).where(RunRow.id == run, RunRow.status.in_(UNFINISHED))
    if session.scalar(unfinished.values(change).returning(RunRow.id)) is None:
        return None
    return session.get_one(RunRow, run, populate_existing=True)


def _announce(session: Session, row: RunRow) -> Run:
    """Flush the run and append it as an event."""
    session.flush()
    now = wire.run(row)
    _append(session, row, "run", now.model_dump_json())
    return now


def _append(session: Session, row: RunRow, name: str, data: str) -> None:
    row.events += 1
    session.add(EventRow(run=row.id, number=row.events, name=name, data=data))


def _fill(item: ItemRow, outcome: Outcome) -> None:
    kept = asdict(outcome.answer) if outcome.answer is not None else {}
    status = "failed" if outcome.error is not None else "scored"
    for name, value in {
        **kept,
        "scores": dict(outcome.scores),
        "status": status,
        "error": short(outcome.error),
    }.items():
        setattr(item, name, clean(value))


def _queued(run: str, request: RunRequest | Rescoring, key: str | None, **values: Any) -> RunRow:
    """The row of a new run."""
    return RunRow(
        id=run,
        status="queued",
        created=int(time.time()),
        done=0,
        failed=0,
        events=0,
        priority=request.priority,
        idempotency_key=key,
        request=request.model_dump_json(),
        **{"metrics": [], **values},
    )


def _planned(run: str, position: int, item: Planned) -> dict[str, Any]:
    given = clean({**asdict(item), "cluster": item.cluster or item.question_id})
    return {"run": run, "position": position, **given, "status": "planned", "scores": {}, "details": {}}
