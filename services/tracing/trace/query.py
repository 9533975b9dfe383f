"""A text as the search sees it: tokens, their place in the text, and where words begin and end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.tracing.tokenizer import Ids, Tokenizer
from services.tracing.trace.characters import Characters, Codes, codes

Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]
DELIMITERS = ".\n"
"""OLMoTrace's: a span ends at the latest with a full stop or the end of a line."""


@dataclass(frozen=True)
class Query:
    """A text cut into tokens. All but `ids` speak of edges: edge i lies before token i, edge `tokens` at the end.

    `offsets` (tokens + 1,) int64: code points begun before each edge. `cuts` (tokens + 1,) bool: no word and no
    character is split there. `ends` (tokens + 1,) int64: the last edge up to this one at which a span may end: a
    cut that no white space stands before. `stops` (tokens,) int64: the edge after the first token from this one on
    that holds a delimiter, or its last byte. `starts` int64: tokens that begin a word, a space before it
    or not. `words` (tokens,) int64: the pre-token that each token is part of.

    Where words need not be whole, `cuts` are all edges between characters; `ends` are these, and `starts` the tokens
    after these; only a token that is one space starts nothing, since a space before a span is no part of it.
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


def read(text: str, tokenizer: Tokenizer, delimiters: str = DELIMITERS, whole_words: bool = True) -> Query:
    """Tokenise a text on its own. Raises UnicodeEncodeError for a lone surrogate.

    `delimiters`: the characters that end a span; none with "". `whole_words` False is infini-gram's enforce_bow=False:
    a span begins and ends at any edge of tokens that splits no character.
    """
    encoded = tokenizer.encode(text)
    data = np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
    edges = np.concatenate(([0], np.cumsum(tokenizer.lengths[encoded.ids])))
    begins = np.append((data & 0xC0) != 0x80, True)
    offsets = np.concatenate(([0], np.cumsum(begins)))[edges]
    between = begins[edges]
    points = codes(text)
    characters = Characters(points)
    cuts = between & ~characters.joined[offsets] if whole_words else between
    after_space = np.append(False, characters.spaces)[offsets]
    usable = cuts & ~after_space if whole_words else cuts
    return Query(
        text=text,
        ids=encoded.ids,
        words=encoded.words,
        offsets=offsets,
        cuts=cuts,
        ends=np.maximum.accumulate(np.where(usable, np.arange(cuts.size), 0)),
        stops=_stops(points, offsets - ~between, delimiters),
        starts=_starts(points, offsets, cuts, characters if whole_words else None),
    )


def _stops(points: Codes, complete: Numbers, delimiters: str) -> Numbers:
    """`complete` (tokens + 1,): code points that end before each edge."""
    # on text and not on token ids: a token such as ".\n" or "..." is a delimiter too
    before = np.concatenate(([0], np.cumsum(np.isin(points, codes(delimiters)))))[complete]
    tokens = complete.size - 1
    after = np.where(before[1:] > before[:-1], np.arange(1, tokens + 1), tokens)
    return np.minimum.accumulate(after[::-1])[::-1]


def _starts(points: Codes, offsets: Numbers, cuts: Flags, words: Characters | None) -> Numbers:
    tokens = np.flatnonzero(cuts[:-1])
    firsts = offsets[tokens] + (points[offsets[tokens]] == ord(" "))
    chosen = firsts < offsets[tokens + 1]
    if words is not None:
        # also where what follows a space makes one character with it: the space is no part of a span
        inside = words.spaces | words.contracted | words.joined[:-1]
        chosen[chosen] = ~inside[firsts[chosen]]
    starts: Numbers = tokens[chosen]
    return starts
