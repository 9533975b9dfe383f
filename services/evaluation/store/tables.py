"""The tables. Names carry the service's, so that the database can be shared with the gateway's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What the migrations must build."""

    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON, str: Text}


class RunRow(Base):
    """A run. `events` is the number of the last event. Times are seconds since 1970 (UTC)."""

    __tablename__ = "evaluation_runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    suite: Mapped[str]
    status: Mapped[str]
    created: Mapped[int] = mapped_column(BigInteger)
    finished: Mapped[int | None] = mapped_column(BigInteger)
    limit: Mapped[int]
    seed: Mapped[int] = mapped_column(BigInteger)
    options: Mapped[dict[str, Any]]
    versions: Mapped[dict[str, Any]]
    warnings: Mapped[list[str]]
    total: Mapped[int]
    done: Mapped[int]
    failed: Mapped[int]
    events: Mapped[int]
    error: Mapped[str | None]
    report: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    priority: Mapped[str]
    endpoint: Mapped[str]
    """Its name in the settings."""
    rescored_from: Mapped[str | None]
    """The run whose answers are scored again. No foreign key: this run stands without it."""
    metrics: Mapped[list[str]]
    """Scored beside the suite's own."""
    request: Mapped[str]
    """The request as JSON, to tell a repeated Idempotency-Key from a reused one."""


class ItemRow(Base):
    """An item: planned when the run is created, filled in when it is answered."""

    __tablename__ = "evaluation_items"
    __table_args__ = (
        UniqueConstraint("run", "id", name="evaluation_items_run_id"),
        Index("evaluation_items_run_status", "run", "status"),
        Index("evaluation_items_run_question", "run", "question_id"),
    )

    run: Mapped[str] = mapped_column(ForeignKey(RunRow.id, ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str]
    question_id: Mapped[str]
    cluster: Mapped[str]
    set: Mapped[str]
    setting: Mapped[str]
    question: Mapped[str]
    gold: Mapped[list[str]]
    seed: Mapped[int] = mapped_column(BigInteger)
    ask: Mapped[dict[str, Any]]
    status: Mapped[str]
    prompt: Mapped[str | None]
    output: Mapped[str | None]
    scores: Mapped[dict[str, Any]]
    tokens: Mapped[int | None]
    latency_ms: Mapped[float | None]
    details: Mapped[dict[str, Any]]
    error: Mapped[str | None]


class EventRow(Base):
    """An event of a run, as it is sent: numbered from 1 without a gap."""

    __tablename__ = "evaluation_events"

    run: Mapped[str] = mapped_column(ForeignKey(RunRow.id, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    data: Mapped[str]
