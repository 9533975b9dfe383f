"""From a text file to a book."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from services.evaluation.books.characters import characters
from services.evaluation.books.errors import BadBook
from services.evaluation.books.events import events
from services.evaluation.books.file import Book, check_id, identify
from services.evaluation.books.passages import openings, passages
from services.evaluation.books.prose import paragraphs
from services.evaluation.books.questions import questions

MOST_PASSAGES, MOST_OPENINGS, MOST_CHARACTERS, MOST_QUESTIONS = 200, 50, 30, 100

_TITLE = re.compile(r"^Title:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)


def build(path: Path, owner: str, *, identity: str | None = None, title: str | None = None) -> Book:
    """The book of a file of UTF-8 text in English. The same file gives the same book.

    Raises BadBook for an id or a file that is none, and one that is empty, too short, in another language, or cut off.
    """
    name = identify(path.stem) if identity is None else check_id(identity)
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadBook(f"{path} is no UTF-8 ({error.reason} at byte {error.start}): convert it first.") from error
    except OSError as error:
        raise BadBook(f"{path} cannot be read: {error.strerror}.") from error
    if "\0" in text:
        raise BadBook(f"{path} is no text: it has a byte 0.")
    prose = paragraphs(text)
    persons = characters(prose, MOST_CHARACTERS)
    named = _TITLE.search(text)
    cut = passages(prose, MOST_PASSAGES)
    begin = openings(prose, MOST_OPENINGS)
    if not cut or not begin:
        raise BadBook("The book has no passage of 211 words or no plain sentence to begin a story with: is it prose?")
    return Book(
        id=name,
        title=title or (named[1] if named else path.stem),
        owner=owner,
        sha256=hashlib.sha256(content).hexdigest(),
        words=sum(len(paragraph.split()) for paragraph in prose),
        passages=cut,
        openings=begin,
        characters=persons,
        events=events(prose, persons),
        questions=questions(prose, persons, MOST_QUESTIONS),
    )
