"""The items of a book: its passages to be gone on from, and its openings to begin stories with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from services.evaluation.books.file import Book
from services.evaluation.suites.base import Planned
from services.evaluation.suites.copybench.asked import Setting, Through, request
from services.evaluation.suites.drawing import drawn, item_seed

LITERAL_TOKENS = 100
"""Of a passage's continuation: the 50 tokens that count are some 75 of a model's. Upstream has 200."""

T = TypeVar("T")


def literal(book: Book, found: Sequence[Setting], through: Through, limit: int, seed: int) -> Iterator[Planned]:
    """At most `limit` passages under every setting."""
    for passage in _first(book.passages, limit, seed, book.id):
        name = f"literal/{book.id}/{passage.at}"
        for setting in found:
            one = item_seed(seed, name)
            ask = request(passage.prefix, "passage", setting, through, tokens=LITERAL_TOKENS, seed=one)
            yield Planned(
                id=f"{name}@{setting.name}",
                question_id=name,
                set=f"literal/{book.id}",
                setting=setting.name,
                question=passage.prefix,
                gold=[passage.reference],
                seed=one,
                ask={"measure": "literal", **ask},
            )


def stories(
    book: Book, found: Sequence[Setting], through: Through, limit: int, seed: int, *, tokens: int, judges: Sequence[str]
) -> Iterator[Planned]:
    """At most `limit` openings under every setting. `judges`: the owners whose experts judge events; none: no judge."""
    events = [event.model_dump() for event in book.events] if judges else []
    about = {"characters": [one.aliases for one in book.characters], "events": events, "judges": [*judges]}
    for opening in _first(book.openings, limit, seed, book.id):
        name = f"story/{book.id}/{book.openings.index(opening)}"
        for setting in found:
            one = item_seed(seed, name)
            yield Planned(
                id=f"{name}@{setting.name}",
                question_id=name,
                set=f"story/{book.id}",
                setting=setting.name,
                question=opening,
                gold=[],
                seed=one,
                ask={
                    "measure": "story",
                    **request(opening, "story", setting, through, tokens=tokens, seed=one),
                    **about,
                },
            )


def _first(found: Sequence[T], limit: int, seed: int, book: str) -> list[T]:
    return [found[place] for place in drawn(range(len(found)), seed, lambda place: f"{book}:{place}")[:limit]]
