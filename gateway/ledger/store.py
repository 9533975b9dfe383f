"""Reading and writing the ledger, off the event loop."""

from __future__ import annotations

from collections.abc import Set

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from gateway.ledger.tables import AnswerRow, Base, EntryRow, TraceRow
from shared.contracts.candor import AnswerTrace, AppliedOwners, LedgerEntry
from shared.contracts.gateway import LedgerPage, LedgerRecord, StoredTrace
from shared.contracts.tracing import Span
from shared.http.errors import NotFound


class Unwritable(Exception):
    """The ledger's database did not take a record."""


class Ledger:
    """The records of answers and their traces in one database, whose schema is up to date."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._session = async_sessionmaker(engine, expire_on_commit=False)

    async def close(self) -> None:
        """Give the connections back."""
        await self._engine.dispose()

    async def record(self, record: LedgerRecord, trace: StoredTrace | None = None) -> None:
        """Keep who took part in an answer, and the answer's trace, in one transaction. Raises Unwritable."""
        row = AnswerRow(
            id=record.id,
            request_id=record.request_id,
            created=record.created,
            model=record.model,
            owners=record.owners.model_dump(mode="json"),
            entries=[
                EntryRow(position=position, **entry.model_dump()) for position, entry in enumerate(record.entries)
            ],
        )
        rows: list[Base] = [row]
        if trace is not None:
            spans = trace.trace.model_dump(mode="json")
            rows.append(TraceRow(id=trace.id, answer=record.id, created=record.created, text=trace.text, trace=spans))
        try:
            async with self._session.begin() as session:
                session.add_all(rows)
        except SQLAlchemyError as error:
            raise Unwritable(f"the ledger could not be written ({type(error).__name__})") from error

    async def page(self, *, after: str | None = None, limit: int = 20) -> LedgerPage:
        """The records older than `after`, newest first. Raises NotFound."""
        async with self._session() as session:
            query = select(AnswerRow).order_by(AnswerRow.number.desc()).limit(limit + 1)
            if after is not None:
                number = await session.scalar(select(AnswerRow.number).where(AnswerRow.id == after))
                if number is None:
                    raise NotFound(f"The ledger has no record {after!r}.", field="after")
                query = query.where(AnswerRow.number < number)
            rows = (await session.scalars(query)).all()
        data = [_record(row) for row in rows[:limit]]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return LedgerPage(data=data, first_id=first, last_id=last, has_more=len(rows) > limit)

    async def trace(self, identity: str, permitted: Set[str]) -> StoredTrace:
        """A stored trace, as far as its owners are still permitted. Raises NotFound."""
        async with self._session() as session:
            row = await session.get(TraceRow, identity)
            if row is None:
                raise NotFound(f"There is no trace {identity!r}.")
            answer = await session.scalar(select(AnswerRow).where(AnswerRow.id == row.answer))
        stored = AnswerTrace.model_validate(row.trace)
        stored.spans = [_permitted(span, permitted) for span in stored.spans if permitted & {*span.owners}]
        stored.documents = [document for document in stored.documents if document.owner in permitted]
        stored.approximate = [span for span in stored.approximate if span.owner in permitted]
        # whose each passage was is not kept: if one of them may be of an owner who is not permitted, none is named
        if answer is None or not {entry.owner for entry in answer.entries if entry.passages} <= permitted:
            stored.spans = [span.model_copy(update={"in_passages": []}) for span in stored.spans]
        return StoredTrace(id=row.id, text=row.text, trace=stored)


def _permitted(span: Span, owners: Set[str]) -> Span:
    """A span without what it says of other owners; `count` is what was counted then."""
    return span.model_copy(
        update={
            "owners": [owner for owner in span.owners if owner in owners],
            "documents": [document for document in span.documents if document.owner in owners],
        }
    )


def _record(row: AnswerRow) -> LedgerRecord:
    return LedgerRecord(
        id=row.id,
        request_id=row.request_id,
        created=row.created,
        model=row.model,
        owners=AppliedOwners.model_validate(row.owners),
        entries=[LedgerEntry.model_validate(entry, from_attributes=True) for entry in row.entries],
    )
