"""The tables. Prompts are not among the columns: the ledger says who took part, never what was asked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Double, ForeignKey, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The metadata that the migrations lead to."""


class AnswerRow(Base):
    """One answered request. `number` orders them; `created` is seconds since 1970 (UTC)."""

    __tablename__ = "answers"

    number: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    id: Mapped[str] = mapped_column(String(64), unique=True)
    request_id: Mapped[str] = mapped_column(String(128), index=True)
    created: Mapped[int] = mapped_column(BigInteger, index=True)
    model: Mapped[str] = mapped_column(String(128))
    owners: Mapped[dict[str, Any]] = mapped_column(JSON)
    entries: Mapped[list[EntryRow]] = relationship(
        order_by="EntryRow.position", cascade="all, delete-orphan", lazy="selectin"
    )


class EntryRow(Base):
    """What one owner's data did for one answer; a row each, so that an owner can be billed or audited by SQL."""

    __tablename__ = "entries"

    answer: Mapped[int] = mapped_column(ForeignKey("answers.number", ondelete="CASCADE"), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    position: Mapped[int]
    experts: Mapped[list[str]] = mapped_column(JSON)
    routing_share: Mapped[float] = mapped_column(Double)
    passages: Mapped[int]
    traced_characters: Mapped[int]


class TraceRow(Base):
    """An answer's text with its spans."""

    __tablename__ = "traces"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    answer: Mapped[str] = mapped_column(String(64), index=True)
    created: Mapped[int] = mapped_column(BigInteger, index=True)
    text: Mapped[str] = mapped_column(Text)
    trace: Mapped[dict[str, Any]] = mapped_column(JSON)
