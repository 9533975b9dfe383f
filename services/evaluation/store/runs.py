"""The store of runs: every change is one transaction that leaves run, items and events in agreement."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.evaluation.errors import AlreadyFinished, KeyReused, UnknownItem, UnknownRun
from services.evaluation.store import wire
from services.evaluation.store.tables import EventRow, ItemRow, RunRow
from services.evaluation.suites.base import Answer, Plan, Planned
from shared.contracts.evaluation import Item, Report, Run, RunRequest, RunStatus

UNFINISHED = ("queued", "running")


@dataclass(frozen=True)
class Event:
    """One event of a run; `data` is JSON."""

    number: int
    name: str
    data: str

    @property
    def last(self) -> bool:
        """Whether no event can follow."""
        return self.name == "run" and Run.model_validate_json(self.data).status not in UNFINISHED


class Store:
    """Runs, their items and their events. Blocks; safe from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def create(self, run: str, request: RunRequest, plan: Plan, versions: Mapping[str, str], key: str | None) -> Run:
        """Queue a run with all its items. With an Idempotency-Key seen before, the run it made. Raises KeyReused."""
        row = RunRow(
            id=run,
            suite=request.suite,
            status="queued",
            created=int(time.time()),
            limit=request.limit,
            seed=request.seed,
            options=request.options,
            versions={**versions, **plan.versions},
            warnings=plan.warnings,
            total=len(plan.items),
            done=0,
            failed=0,
            events=0,
            idempotency_key=key,
            request=request.model_dump_json(),
        )
        try:
            with Session(self._engine) as session, session.begin():
                session.add(row)
                session.flush()
                session.execute(insert(ItemRow), [_planned(run, at, item) for at, item in enumerate(plan.items)])
                return _announce(session, row)
        except IntegrityError:
            found = self.by_key(key, request)
            if found is None:
                raise
            return found

    def by_key(self, key: str | None, request: RunRequest) -> Run | None:
        """The run that came with this Idempotency-Key before. Raises KeyReused if the request was another."""
        if key is None:
            return None
        with Session(self._engine) as session:
            row = session.scalar(select(RunRow).where(RunRow.idempotency_key == key))
            if row is not None and row.request != request.model_dump_json():
                raise KeyReused(key)
            return wire.run(row) if row is not None else None

    def run(self, run: str) -> Run:
        """A run. Raises UnknownRun."""
        with Session(self._engine) as session:
            return wire.run(_get(session, run))

    def runs(self, *, after: str | None, limit: int) -> list[Run]:
        """Runs, newest first; ids grow with time."""
        query = select(RunRow).order_by(RunRow.id.desc()).limit(limit)
        with Session(self._engine) as session:
            rows = session.scalars(query if after is None else query.where(RunRow.id < after))
            return [wire.run(row) for row in rows]

    def unfinished(self) -> list[str]:
        """Runs that must be carried on, oldest first."""
        with Session(self._engine) as session:
            return list(session.scalars(select(RunRow.id).where(RunRow.status.in_(UNFINISHED)).order_by(RunRow.id)))

    def begin(self, run: str, versions: Mapping[str, str]) -> bool:
        """Queued to running, with what was learned of the endpoint. False if the run has ended already."""
        with Session(self._engine) as session, session.begin():
            row = _lock(session, run, status="running")
            if row is None:
                return False
            row.versions = {**row.versions, **versions}
            _announce(session, row)
            return True

    def end(self, run: str, status: RunStatus, *, error: str | None = None, report: Report | None = None) -> bool:
        """To a final status, once: False if the run has ended already."""
        with Session(self._engine) as session, session.begin():
            row = _lock(session, run, status=status)
            if row is None:
                return False
            row.finished, row.error = int(time.time()), error
            ended = _announce(session, row)
            if report is not None:
                row.report = report.model_copy(update={"run": ended}).model_dump(mode="json")
            return True

    def cancel(self, run: str) -> Run:
        """End a run as cancelled; again is no error. Raises UnknownRun, AlreadyFinished."""
        self.end(run, "cancelled")
        now = self.run(run)
        if now.status != "cancelled":
            raise AlreadyFinished(run, now.status)
        return now

    def planned(self, run: str, position: int) -> Planned | None:
        """The item at a position; None if it is done already."""
        with Session(self._engine) as session:
            row = session.get_one(ItemRow, (run, position))
            return wire.planned(row) if row.status == "planned" else None

    def was_scored(self, run: str, position: int) -> bool:
        """Whether the item at a position is done and has scores."""
        with Session(self._engine) as session:
            return session.get_one(ItemRow, (run, position)).status == "scored"

    def record(
        self, run: str, position: int, answer: Answer | None, scores: Mapping[str, float], error: str | None
    ) -> bool:
        """Keep what became of an item, once. False if the run has ended or the item is done: nothing is kept then."""
        kept = asdict(answer) if answer is not None else {}
        status = "failed" if error is not None else "scored"
        with Session(self._engine) as session, session.begin():
            row = _lock(session, run)
            item = session.get_one(ItemRow, (run, position))
            if row is None or item.status != "planned":
                return False
            for name, value in {**kept, "scores": dict(scores), "status": status, "error": error}.items():
                setattr(item, name, value)
            row.done, row.failed = row.done + 1, row.failed + (error is not None)
            _append(session, row, "item", wire.finished(item, row).model_dump_json())
            return True

    def items(self, run: str, *, after: str | None = None, limit: int | None = None, **equal: str | None) -> list[Item]:
        """Items in order, those after `after` only, whose columns equal those given. Raises UnknownRun, UnknownItem."""
        query = select(ItemRow).where(ItemRow.run == run).order_by(ItemRow.position)
        for column, value in equal.items():
            query = query if value is None else query.where(getattr(ItemRow, column) == value)
        with Session(self._engine) as session:
            _get(session, run)
            if after is not None:
                start = session.scalar(select(ItemRow.position).where(ItemRow.run == run, ItemRow.id == after))
                if start is None:
                    raise UnknownItem(after)
                query = query.where(ItemRow.position > start)
            return [wire.item(row) for row in session.scalars(query.limit(limit))]

    def last_error(self, run: str) -> str | None:
        """The error of the last item, in order, that failed."""
        query = select(ItemRow.error).where(ItemRow.run == run, ItemRow.status == "failed")
        with Session(self._engine) as session:
            return session.scalar(query.order_by(ItemRow.position.desc()).limit(1))

    def report(self, run: str) -> Report | None:
        """The report of a run that has ended; None if there is none yet."""
        with Session(self._engine) as session:
            report = _get(session, run).report
            return Report.model_validate(report) if report is not None else None

    def events(self, run: str, *, after: int, limit: int = 500) -> Sequence[Event]:
        """Events with a greater number, in order."""
        query = select(EventRow).where(EventRow.run == run, EventRow.number > after)
        with Session(self._engine) as session:
            rows = session.scalars(query.order_by(EventRow.number).limit(limit))
            return [Event(row.number, row.name, row.data) for row in rows]


def _get(session: Session, run: str) -> RunRow:
    row = session.get(RunRow, run)
    if row is None:
        raise UnknownRun(run)
    return row


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


def _planned(run: str, position: int, item: Planned) -> dict[str, Any]:
    return {"run": run, "position": position, **asdict(item), "status": "planned", "scores": {}, "details": {}}
