"""What can be read of runs, items and events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from services.evaluation.errors import KeyReused, UnknownItem, UnknownRun
from services.evaluation.store import wire
from services.evaluation.store.stored import StoredItems
from services.evaluation.store.tables import EventRow, ItemRow, RunRow
from services.evaluation.suites.base import Answer, Planned
from shared.contracts.evaluation import Item, Report, Run

UNFINISHED = ("queued", "running")


@dataclass(frozen=True)
class Event:
    """One event of a run; `data` is JSON."""

    number: int
    name: str
    data: str


@dataclass(frozen=True)
class Rescored:
    """An item whose answer another run has: the answer, or the error that it has instead."""

    position: int
    planned: Planned
    answer: Answer | None
    error: str | None


class Reader:
    """Runs, their items and their events, as they are now."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def by_key(self, key: str | None, request: BaseModel) -> Run | None:
        """The run that came with this Idempotency-Key before. Raises KeyReused if the request was another."""
        if key is None:
            return None
        with Session(self._engine) as session:
            row = session.scalar(select(RunRow).where(RunRow.idempotency_key == key))
            if row is not None and not _same(row.request, request):
                raise KeyReused(key)
            return wire.run(row) if row is not None else None

    def run(self, run: str) -> Run:
        """A run. Raises UnknownRun."""
        with Session(self._engine) as session:
            return wire.run(_get(session, run))

    def runs(self, *, after: str | None, limit: int) -> list[Run]:
        """Runs, newest first; ids grow with time. Raises UnknownRun where there is no run `after`."""
        query = select(RunRow).order_by(RunRow.id.desc()).limit(limit)
        with Session(self._engine) as session:
            if after is not None:
                query = query.where(RunRow.id < _get(session, after).id)
            rows = session.scalars(query)
            return [wire.run(row) for row in rows]

    def unfinished(self) -> list[str]:
        """Runs that must be carried on, oldest first."""
        with Session(self._engine) as session:
            return list(session.scalars(select(RunRow.id).where(RunRow.status.in_(UNFINISHED)).order_by(RunRow.id)))

    def to_ask(self, run: str) -> list[int]:
        """The positions of the items that are not done, in order."""
        query = select(ItemRow.position).where(ItemRow.run == run, ItemRow.status == "planned")
        with Session(self._engine) as session:
            return list(session.scalars(query.order_by(ItemRow.position)))

    def planned(self, run: str, position: int) -> Planned | None:
        """The item at a position; None if it is done already."""
        with Session(self._engine) as session:
            row = session.get_one(ItemRow, (run, position))
            return wire.planned(row) if row.status == "planned" else None

    def was_scored(self, run: str, position: int) -> bool:
        """Whether the item at a position is done and has scores."""
        with Session(self._engine) as session:
            return session.get_one(ItemRow, (run, position)).status == "scored"

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

    def all_items(self, run: str) -> Sequence[Item]:
        """Every item in order, read from the database page by page as often as it is gone through."""
        return StoredItems(self, run)

    def count(self, run: str) -> int:
        """How many items a run has. Raises UnknownRun."""
        with Session(self._engine) as session:
            return _get(session, run).total

    def from_position(self, run: str, position: int, limit: int) -> list[Item]:
        """The items from a position on."""
        query = select(ItemRow).where(ItemRow.run == run, ItemRow.position >= position)
        with Session(self._engine) as session:
            return [wire.item(row) for row in session.scalars(query.order_by(ItemRow.position).limit(limit))]

    def of_questions(self, run: str, questions: Collection[str]) -> list[Item]:
        """The items of these questions, at most a page of them, in order."""
        query = select(ItemRow).where(ItemRow.run == run, ItemRow.question_id.in_(questions))
        with Session(self._engine) as session:
            return [wire.item(row) for row in session.scalars(query.order_by(ItemRow.position))]

    def to_rescore(self, run: str, after: int, limit: int) -> list[Rescored]:
        """The next answers of another run, after this position, that are not yet scored here; empty when all are."""
        query = select(ItemRow).where(ItemRow.run == run, ItemRow.position > after, ItemRow.status == "planned")
        with Session(self._engine) as session:
            rows = session.scalars(query.order_by(ItemRow.position).limit(limit))
            return [Rescored(row.position, wire.planned(row), wire.answer(row), row.error) for row in rows]

    def answered(self, run: str) -> tuple[int, int]:
        """How many items have an answer, and how many of those could not be scored."""
        query = select(func.count(), func.count(ItemRow.error)).where(ItemRow.run == run, ItemRow.output.is_not(None))
        with Session(self._engine) as session:
            answers, unscored = session.execute(query).one()
            return answers, unscored

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


def _same(stored: str, request: BaseModel) -> bool:
    """Whether a stored request, also one of before a field was added, is this one."""
    try:
        return type(request).model_validate_json(stored) == request
    except ValidationError:
        return False


def _get(session: Session, run: str) -> RunRow:
    row = session.get(RunRow, run)
    if row is None:
        raise UnknownRun(run)
    return row
