"""A text as the search sees it: tokens, their place in the text, and where words begin and end."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.tracing.tokenizer import Ids, Tokenizer

Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]
APOSTROPHES = "'\u2019"


@dataclass(frozen=True)
class Query:
    """A text cut into tokens. All but `ids` speak of edges: edge i lies before token i, edge `tokens` at the end.

    `offsets` (tokens + 1,) int64: code points before each edge. `cuts` (tokens + 1,) bool: no word and no
    character is split there. `ends` (tokens + 1,) int64: the last edge up to this one at which a span may end: a
    cut that no white space stands before. `stops` (tokens,) int64: the edge after the first token from this one on
    that holds a delimiter, a full stop or a newline. `starts` int64: tokens that begin a word, a space before it
    or not. `words` (tokens,) int64: the pre-token that each token is part of.
    """

    text: str
    ids: Ids
    words: Numbers
    offsets: Numbers
    cuts: Flags
    ends: Numbers
    stops: Numbers
    starts: Numbers

    @property
    def tokens(self) -> int:
        """How many tokens the text has."""
        return int(self.ids.size)


def read(text: str, tokenizer: Tokenizer) -> Query:
    """Tokenise a text on its own. Raises UnicodeEncodeError for a lone surrogate."""
    encoded = tokenizer.encode(text)
    data = np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
    edges = np.concatenate(([0], np.cumsum(tokenizer.lengths[encoded.ids])))
    begins = np.append((data & 0xC0) != 0x80, True)
    offsets = np.concatenate(([0], np.cumsum(begins)))[edges]
    cuts = begins[edges]
    for edge in np.flatnonzero(cuts[1:-1]) + 1:
        at = int(offsets[edge])
        cuts[edge] = not _joined(text[at - 1], text[at])
    return Query(
        text=text,
        ids=encoded.ids,
        words=encoded.words,
        offsets=offsets,
        cuts=cuts,
        ends=_ends(text, offsets, cuts),
        stops=_stops(data, edges),
        starts=_starts(text, offsets, cuts),
    )


def _ends(text: str, offsets: Numbers, cuts: Flags) -> Numbers:
    usable = cuts.copy()
    for edge in np.flatnonzero(cuts[1:]) + 1:
        usable[edge] = not text[int(offsets[edge]) - 1].isspace()
    return np.maximum.accumulate(np.where(usable, np.arange(cuts.size), 0))


def _stops(data: NDArray[np.uint8], edges: Numbers) -> Numbers:
    # on bytes and not on token ids: a token such as ".\n" or "..." is a delimiter too
    before = np.concatenate(([0], np.cumsum((data == ord(".")) | (data == ord("\n")))))[edges]
    tokens = edges.size - 1
    after = np.where(before[1:] > before[:-1], np.arange(1, tokens + 1), tokens)
    return np.minimum.accumulate(after[::-1])[::-1]


def _starts(text: str, offsets: Numbers, cuts: Flags) -> Numbers:
    found = []
    for token in np.flatnonzero(cuts[:-1]):
        start, end = int(offsets[token]), int(offsets[token + 1])
        first = start + 1 if text[start] == " " else start
        if first < end and not text[first].isspace() and not _contracted(text, first):
            found.append(int(token))
    return np.array(found, dtype=np.int64)


def _contracted(text: str, at: int) -> bool:
    """Whether the word at code point `at` is the rest of one such as "don't", to which no one would cut it."""
    if text[at] in APOSTROPHES:
        return 0 < at < len(text) - 1 and _joined(text[at - 1], text[at + 1])
    return at > 1 and text[at - 1] in APOSTROPHES and _joined(text[at - 2], text[at])


def _joined(before: str, after: str) -> bool:
    """Whether two neighbouring characters are of one word, or of one character as a reader sees it."""
    if _extends(after) or before == "\u200d":
        return True
    return _in_word(before) and _in_word(after) and not (_unspaced(before) or _unspaced(after))


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"


def _extends(character: str) -> bool:
    """Combining marks, joiners and variation selectors, and the skin tones of emoji."""
    return unicodedata.category(character) in ("Mn", "Me", "Mc", "Cf") or "\U0001f3fb" <= character <= "\U0001f3ff"


def _unspaced(character: str) -> bool:
    """Of a script that writes no spaces between words: each character may begin one."""
    return unicodedata.east_asian_width(character) in ("W", "F") or "\u0e00" <= character <= "\u0eff"
