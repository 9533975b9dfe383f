"""What is kept of a book: CANDOR_HOME/books/ID.json."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from services.evaluation.books.errors import BadBook
from shared.contracts.base import OwnerId, Strict

FOLDER = "books"

_ID = r"^[a-z0-9][a-z0-9-]{0,63}$"

BookId = Annotated[str, StringConstraints(pattern=_ID)]

_Text = Annotated[str, Field(pattern=r"\S")]

_Name = Annotated[str, Field(pattern=r"\w")]


class Passage(Strict):
    """162 words of a book, and the 49 that follow. `at`: the place of its first word among the book's words."""

    at: Annotated[int, Field(ge=0)]
    prefix: _Text
    reference: _Text


class Character(Strict):
    """A person of a book, by all names that mean nobody else in it; the first is the commonest."""

    aliases: Annotated[list[_Name], Field(min_length=1)]


class Event(Strict):
    """A key event as a sentence of the book, and the 128 tokens of the book around it, which tell of it."""

    text: _Text
    context: _Text


class Question(Strict):
    """Sentences of a book up to a person's name that is left out (`text`), what follows it in the last one (`rest`),
    and the person's names: first the one left out. `at`: the last sentence's place among the book's. `commonest`: the
    person whom the sentences before name most often, which is what knowing nothing else would answer."""

    at: Annotated[int, Field(ge=0)]
    text: _Text
    rest: str
    answers: Annotated[list[_Name], Field(min_length=1)]
    commonest: _Name


class Book(Strict):
    """What is asked of a book. `sha256`: of the file it was made from; `events`: in the order of the book.

    Books built before 2026-11-28 have no `questions`.
    """

    id: BookId
    title: _Text
    owner: OwnerId
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    words: Annotated[int, Field(ge=1)]
    passages: Annotated[list[Passage], Field(min_length=1)]
    openings: Annotated[list[_Text], Field(min_length=1)]
    characters: list[Character]
    events: list[Event]
    questions: list[Question] = []


def identify(name: str) -> str:
    """The id of a book from the name of its file. Raises BadBook for one without a letter or digit."""
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64].rstrip("-")
    if not found:
        raise BadBook(f"No id can be made of the name {name!r}: it has no letter or digit. Name the book with --id.")
    return found


def check_id(identity: str) -> str:
    """The id. Raises BadBook for one that is none."""
    if not re.fullmatch(_ID, identity):
        raise BadBook(f"{identity!r} is no id of a book: it has small letters, digits and hyphens, at most 64.")
    return identity


def write(book: Book, home: Path) -> Path:
    """Keep a book in the place of one of the same id, whole or not at all; where it is."""
    path = home / FOLDER / f"{book.id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(book.model_dump_json(indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def known(home: Path) -> list[str]:
    """The ids of the books that are kept."""
    return sorted(path.stem for path in (home / FOLDER).glob("[!.]*.json"))


def read(home: Path, identity: str) -> Book:
    """A book of `known`. Raises BadBook for a file that the builder would not have written."""
    path = home / FOLDER / f"{identity}.json"
    try:
        book = Book.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise BadBook(f"{path} is no book: {_fault(error)}. Mend it, or build it with `candor eval book`.") from error
    if book.id != identity:
        # two files of one id would be asked as one book
        raise BadBook(f"{path} has the id {book.id!r} of another file: give it its own, {identity!r}.")
    return book


def _fault(error: OSError | ValidationError | UnicodeDecodeError) -> str:
    """The first fault, and where in the file it is."""
    if not isinstance(error, ValidationError):
        return str(error)
    fault = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, fault["loc"])), fault["msg"])))
