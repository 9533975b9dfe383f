"""Many requests in one: each is answered as if it had come alone, and the first that cannot be is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from services.tracing.errors import TextTooLong
from shared.contracts import tracing as wire
from shared.http.errors import CandorError, InvalidRequest

Request = TypeVar("Request")
Answer = TypeVar("Answer")


def trace_each(
    items: Sequence[wire.TraceRequest], trace: Callable[[wire.TraceRequest], wire.Trace], limit: int
) -> wire.TraceList:
    """The trace of each. Raises as `trace`, with the item in the field, and TextTooLong if all are over the limit."""
    _check_together(sum(len(item.text) for item in items), limit)
    _check_together(sum(len(item.prompt) for item in items), limit)
    _check_together(sum(len(passage.text) for item in items for passage in item.passages), limit)
    return wire.TraceList(data=_each(items, trace))


def count_each(
    items: Sequence[wire.CountRequest], count: Callable[[wire.CountRequest], wire.Count], limit: int
) -> wire.CountList:
    """The count of each. Raises as `trace_each`, and InvalidRequest for clauses, each of which can take a second."""
    for number, item in enumerate(items):
        if item.clauses is not None:
            detail = "Clauses are counted one request each, by /v1/count: each may take a second."
            raise InvalidRequest(detail, field=f"items.{number}.clauses")
    _check_together(sum(len(item.text or "") + len(item.tokens or ()) for item in items), limit)
    return wire.CountList(data=_each(items, count))


def _each(items: Sequence[Request], answer: Callable[[Request], Answer]) -> list[Answer]:
    answers = []
    for number, item in enumerate(items):
        try:
            answers.append(answer(item))
        except CandorError as error:
            error.field = f"items.{number}" + (f".{error.field}" if error.field else "")
            raise
    return answers


def _check_together(length: int, limit: int) -> None:
    if length > limit:
        raise TextTooLong("items", length, limit)
