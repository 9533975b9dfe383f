"""Stretches of a text as patterns to search for, with a space before the first word and without.

A text is tokenised on its own, and its first word has no space before it; nor has a word after a bracket or a
newline. The same words in the middle of a document do, and BPE gives them other tokens. So each stretch is looked
for both ways. An occurrence is only ever found one way: the spellings of a word end in different tokens, so that both
cannot stand in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.tracing.search.arrays import Patterns
from services.tracing.tokenizer import Ids, Tokenizer
from services.tracing.trace.query import Query

Numbers = NDArray[np.int64]
LONGEST_WORD = 64
"""Characters of a word that is looked for both ways; what is longer is no word."""


@dataclass(frozen=True)
class Phrases:
    """Patterns for stretches of a text that begin at some of its tokens.

    `start` (patterns,) int64: the token of the text at which a pattern begins, each token once or twice.
    """

    start: Numbers
    patterns: Patterns

    def edges(self, lengths: Numbers) -> Numbers:
        """The edge of the text that a match of so many tokens reaches; 0 for one that ends in a re-spelt first word."""
        beyond = lengths - self.patterns.split
        return np.where(beyond >= 0, self.patterns.tail + beyond, 0) * (lengths > 0)

    def ends(self) -> Numbers:
        """The edge of the text that each pattern ends at."""
        return self.patterns.tail + self.patterns.length - self.patterns.split

    def until(self, ends: Numbers, chosen: NDArray[np.bool_]) -> Phrases:
        """The chosen patterns cut at edges of the text, (patterns,); those whose first word is longer are left out."""
        chosen = chosen & (ends >= self.patterns.tail) & (ends > self.start)
        text, heads, *columns = self.patterns
        head, split, tail, _ = (column[chosen] for column in columns)
        return Phrases(self.start[chosen], Patterns(text, heads, head, split, tail, split + ends[chosen] - tail))


def phrases(query: Query, starts: Numbers, ends: Numbers, tokenizer: Tokenizer) -> Phrases:
    """The patterns of stretches from some tokens of a text to an edge after each, ordered by start."""
    others, heads, split, tail = _others(query, starts, tokenizer)
    within = tail <= ends[others]
    nothing = np.zeros_like(starts)
    columns = (
        (starts, starts[others]),
        (nothing, np.cumsum(split) - split),
        (nothing, split),
        (starts, tail),
        (ends - starts, split + ends[others] - tail),
    )
    order = np.argsort(np.concatenate((starts, starts[others][within])), kind="stable")
    start, *rest = (np.concatenate((own, other[within]))[order] for own, other in columns)
    return Phrases(start, Patterns(query.ids, heads, *rest))


def _others(query: Query, starts: Numbers, tokenizer: Tokenizer) -> tuple[Numbers, Ids, Numbers, Numbers]:
    """Other spellings of the words at some tokens of a text.

    Which of the starts have one (others,), the spellings one after the other, how many tokens each has (others,), and
    the edge that each goes up to (others,). A word goes on to the end of its pre-token: no merge crosses that, so that
    what follows has the same tokens whatever stands before the word.
    """
    tails = np.searchsorted(query.words, query.words[starts], side="right")
    short = query.offsets[tails] - query.offsets[starts] <= LONGEST_WORD
    width, raw = query.ids.itemsize, query.ids.tobytes()
    found: list[tuple[int, int, int]] = []
    heads: list[int] = []
    for number in np.flatnonzero(short).tolist():
        start, tail = int(starts[number]), int(tails[number])
        spelt, shared = _other(tokenizer, raw[width * start : width * tail])
        if spelt:
            found.append((number, len(spelt), tail - shared))
            heads += spelt
    others, split, edges = np.array(found, dtype=np.int64).reshape(-1, 3).T.copy()
    return others, np.array(heads, dtype=query.ids.dtype), split, edges


@lru_cache(maxsize=1 << 16)
def _other(tokenizer: Tokenizer, raw: bytes) -> tuple[tuple[int, ...], int]:
    """A word, given as its tokens in memory, spelt the other way: with a space before it, or without the one it has.

    Without the tokens at its end that both spellings share, which are counted. Empty when it finds nothing more: where
    the space is a token of its own, what is found with it is also found without. Remembered: words of answers repeat.
    """
    own: list[int] = np.frombuffer(raw, dtype=tokenizer.dtype).tolist()
    word = tokenizer.decode(own).decode("utf-8")
    if word.isspace():
        return (), 0
    spelt = tokenizer.spell(word[1:] if word[0] == " " else " " + word)
    shared, most = 0, min(len(own), len(spelt))
    while shared < most and own[-1 - shared] == spelt[-1 - shared]:
        shared += 1
    return ((), 0) if shared == most else (tuple(spelt[: len(spelt) - shared]), shared)
