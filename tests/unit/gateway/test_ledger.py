"""The ledger in SQL: SQLite always, PostgreSQL where its binaries are."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from gateway.ledger.database import connect, migrate
from gateway.ledger.store import Ledger, Unwritable
from gateway.ledger.tables import Base
from shared.contracts.candor import AnswerTrace, AppliedOwners, LedgerEntry, OwnerChoice
from shared.contracts.gateway import LedgerRecord, StoredTrace
from shared.contracts.tracing import ApproximateSpan, Span
from shared.http.errors import NotFound
from tests.postgres import postgres


def record(identity: str) -> LedgerRecord:
    entries = [
        LedgerEntry(owner=owner, experts=[owner], routing_share=share, passages=1, traced_characters=3)
        for owner, share in (("papers", 0.25), ("clinic", 0.5))
    ]
    owners = AppliedOwners(
        permitted=["papers", "clinic", "news"], requested=OwnerChoice(exclude=["news"]), effective=["papers", "clinic"]
    )
    return LedgerRecord(id=identity, request_id="r-1", created=7, model="candor", owners=owners, entries=entries)


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new folder' / 'gateway.db'}"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgres() as server:
        yield server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    address: str = request.getfixturevalue(request.param)
    migrate(address)
    return address


def test_records_come_back_as_they_were_newest_first_and_page_by_page(database: str) -> None:
    async def use() -> None:
        ledger = Ledger(connect(database))
        try:
            for number in range(3):
                await ledger.record(record(f"a{number}"))
            first = await ledger.page(limit=2)
            assert [found.id for found in first.data] == ["a2", "a1"]
            assert first.data[0] == record("a2")
            assert (first.first_id, first.last_id, first.has_more) == ("a2", "a1", True)
            rest = await ledger.page(after=first.last_id, limit=2)
            assert ([found.id for found in rest.data], rest.has_more) == (["a0"], False)
        finally:
            await ledger.close()

    asyncio.run(use())


def test_a_trace_is_kept_with_its_answer_and_found_by_its_id(database: str) -> None:
    async def use() -> None:
        ledger = Ledger(connect(database))
        trace = StoredTrace(id="t1", text="Ahoy [1]", trace=AnswerTrace(id="t1", corpora=["papers"], spans=[]))
        try:
            await ledger.record(record("b1"), trace)
            assert await ledger.trace("t1", {"papers"}) == trace
            with pytest.raises(NotFound):
                await ledger.trace("t2", {"papers"})
        finally:
            await ledger.close()

    asyncio.run(use())


def test_a_trace_tells_nothing_more_of_an_owner_who_is_no_longer_permitted(database: str) -> None:
    def span(*owners: str) -> Span:
        return Span(start=0, end=4, text="Ahoy", length=1, count=2, relevance="low", owners=[*owners], documents=[])

    def near(owner: str) -> ApproximateSpan:
        words = {"text": "Ahoy", "snippet": "AHOY", "similarity": 1.0, "differences": []}
        record = {"id": "d", "corpus": owner, "source": "s", "title": "t", "licence": "CC0"}
        return ApproximateSpan.model_validate({"start": 0, "end": 4, "owner": owner, **words, **record})

    async def use() -> None:
        ledger = Ledger(connect(database))
        spans = [span("papers", "news"), span("news")]
        try:
            nearly = [near("papers"), near("news")]
            trace = AnswerTrace(id="t3", corpora=["papers", "news"], spans=spans, approximate=nearly)
            await ledger.record(record("b3"), StoredTrace(id="t3", text="Ahoy", trace=trace))
            kept = await ledger.trace("t3", {"papers"})
            assert [found.owners for found in kept.trace.spans] == [["papers"]]
            assert [found.owner for found in kept.trace.approximate] == ["papers"]
        finally:
            await ledger.close()

    asyncio.run(use())


def test_the_passages_of_a_trace_are_not_named_once_one_may_be_of_an_owner_no_longer_permitted(database: str) -> None:
    found = Span(
        start=0, end=4, text="Ahoy", length=1, count=2, relevance="low", in_prompt=True, in_passages=["d#1"],
        owners=["papers"], documents=[],
    )  # fmt: skip

    async def use() -> None:
        ledger = Ledger(connect(database))
        try:
            trace = AnswerTrace(id="t4", corpora=["papers"], spans=[found])
            await ledger.record(record("b4"), StoredTrace(id="t4", text="Ahoy", trace=trace))
            assert (await ledger.trace("t4", {"papers", "clinic"})).trace.spans == [found]
            # a passage that was read is the clinic's, and which one is not kept
            (kept,) = (await ledger.trace("t4", {"papers"})).trace.spans
            assert (kept.in_prompt, kept.in_passages) == (True, [])
        finally:
            await ledger.close()

    asyncio.run(use())


def test_a_record_or_a_trace_that_cannot_be_written_leaves_neither(database: str) -> None:
    async def use() -> None:
        ledger = Ledger(connect(database))
        trace = StoredTrace(id="t9", text="", trace=AnswerTrace(id="t9", corpora=[], spans=[]))
        try:
            await ledger.record(record("c1"))
            with pytest.raises(Unwritable):
                await ledger.record(record("c1"), trace)
            with pytest.raises(NotFound):
                await ledger.trace("t9", {"papers"})
        finally:
            await ledger.close()

    asyncio.run(use())


def test_a_page_after_an_unknown_record_is_not_found(sqlite: str) -> None:
    migrate(sqlite)

    async def use() -> None:
        ledger = Ledger(connect(sqlite))
        try:
            with pytest.raises(NotFound) as error:
                await ledger.page(after="nothing")
            assert error.value.field == "after"
        finally:
            await ledger.close()

    asyncio.run(use())


def test_the_migrations_lead_to_the_tables_of_the_code_and_run_again_without_harm(database: str) -> None:
    migrate(database)
    engine = create_engine(database.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "gateway_schema"})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_another_kind_of_database_is_refused_by_the_name_of_its_setting() -> None:
    with pytest.raises(ValueError, match="CANDOR_GATEWAY_DATABASE_URL"):
        migrate("mysql://somewhere/ledger")
