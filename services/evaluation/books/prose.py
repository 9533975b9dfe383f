"""The prose of a book's file: without Project Gutenberg's header and licence, in paragraphs and sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.evaluation.books.errors import BadBook

FEWEST_WORDS = 2000
"""Of a book: nine passages of 211 words."""

LEAST_ENGLISH = 0.25
"""The share of English's commonest words below which a text is taken for another language's. English prose has some
0.4 to 0.5 of them, German, French, Latin or Finnish under 0.1."""

_COMMONEST = {
    "the", "of", "and", "to", "a", "in", "that", "was", "he", "it", "his", "i", "with", "as", "had", "for", "at",
    "her", "on", "is", "be", "you", "him", "she", "not", "but", "they", "have", "by", "all", "my", "which", "from",
    "were", "me", "this", "or", "we", "there", "when", "so", "one", "no", "their", "an", "been", "them", "said",
    "who", "if", "are", "will", "would", "what", "up",
}  # fmt: skip

_START = re.compile(r"^\*\*\*\s?START OF TH(?:E|IS) PROJECT GUTENBERG.*?\*\*\*.*$", re.MULTILINE | re.IGNORECASE)
_END = re.compile(
    r"^\s*(?:\*\*\*\s?END OF TH(?:E|IS) PROJECT GUTENBERG|End of (?:the |this )?Project Gutenberg).*$",
    re.MULTILINE | re.IGNORECASE,
)
_CREDIT = re.compile(
    r"Produced by |E-?text prepared by |\[Illustration|\[Transcriber|.*Project Gutenberg", re.IGNORECASE
)
_WORD = re.compile(r"[^\W\d_]+")
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Rev|Capt|Col|Gen|Lt|Hon|Esq|No|vol|viz|etc)|\b[A-Z])\.$")
_BREAK = re.compile(r"(?<=[.!?])[\"'\u201d\u2019)\]]*\s+(?=[\"'\u201c\u2018(\[]*[A-Z0-9])")


def paragraphs(text: str) -> list[str]:
    """The paragraphs of prose in their order, each on one line.

    A paragraph ends at an empty line. One that ends as no sentence does, such as a heading, a table of contents or a
    verse, is left out. Raises BadBook for a text that is empty, has a part of Gutenberg's frame only, is too short,
    or is not English.
    """
    blocks = (" ".join(block.split()) for block in re.split(r"\n\s*\n", _within(text.replace("\r\n", "\n"))))
    found = [block.replace("_", "") for block in blocks if _is_prose(block)]
    words = [word.lower() for block in found for word in _WORD.findall(block)]
    if not text.strip():
        raise BadBook("The book is empty.")
    if words and sum(word in _COMMONEST for word in words) < LEAST_ENGLISH * len(words):
        share = sum(word in _COMMONEST for word in words) / len(words)
        raise BadBook(
            f"The book is not in English, as it seems: {share:.0%} of its words are among English's commonest, where "
            f"{LEAST_ENGLISH:.0%} are the least. Names and events are found by English words only."
        )
    if len(words) < FEWEST_WORDS:
        raise BadBook(
            f"The book is too short: it has {len(words)} words of prose, of the {FEWEST_WORDS} needed. Paragraphs are "
            "parted by empty lines and end with a full stop; others are left out."
        )
    return found


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph; together they are the paragraph, but for the spaces between."""
    found: list[str] = []
    start = 0
    for end in _BREAK.finditer(paragraph):
        piece = paragraph[start : end.end()].strip()
        if not _ABBREVIATION.search(piece):
            found.append(piece)
            start = end.end()
    return [*found, paragraph[start:].strip()] if paragraph[start:].strip() else found


def words(text: str) -> Iterator[re.Match[str]]:
    """Runs of what is no space: what CopyBench's lengths count."""
    return re.finditer(r"\S+", text)


def _within(text: str) -> str:
    """What stands between the marks of Project Gutenberg; all of a text that has none."""
    start, end = _START.search(text), _END.search(text)
    if end and not start:
        raise BadBook(
            "The book has the end of Project Gutenberg's frame and not its beginning: its header cannot be told from "
            "the book. Use the whole file, or cut both off."
        )
    if start and not end:
        raise BadBook(
            "The book has the beginning of Project Gutenberg's frame and not its end: it is cut off. Use the whole "
            "file, or cut both off."
        )
    return text[start.end() : end.start()] if start and end else text


def _is_prose(block: str) -> bool:
    return (
        bool(re.search(r"[.!?:;,—-][\"'\u201d\u2019)\]]*$", block)) and not _CREDIT.match(block) and not block.isupper()
    )
