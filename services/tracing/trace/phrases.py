"""Stretches of a text as patterns to search for, with a space before the first word and without.

A text is tokenised on its own, and its first word has no space before it; nor has a word after a bracket or a
newline. The same words in the middle of a document do, and byte-level BPE gives them other tokens. So each
stretch is looked for both ways. An occurrence is only ever found one way: see `_other`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.tracing.search.arrays import Patterns
from services.tracing.tokenizer import Tokenizer
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
    rows: list[tuple[int, int, int, int, int]] = []
    heads: list[int] = []
    begins, tails = _words(query, starts)
    for start, end, tail, begun in zip(starts.tolist(), ends.tolist(), tails, begins, strict=True):
        rows.append((start, 0, 0, start, end - start))
        other = _other(query, start, tail, tokenizer) if begun and tail <= end else ()
        if other:
            rows.append((start, len(heads), len(other), tail, len(other) + end - tail))
            heads += other
    first, *columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T.copy()
    return Phrases(first, Patterns(query.ids, np.array(heads, dtype=query.ids.dtype), *columns))


def _words(query: Query, starts: Numbers) -> tuple[list[bool], list[int]]:
    """Of some tokens, which begin a pre-token, and the token after it.

    No merge crosses the edges of a pre-token, so that its tokens are the same wherever it stands; those of a part of
    it are not.
    """
    before = np.concatenate(([-1], query.words))[starts]
    begins = before != query.words[starts]
    return begins.tolist(), np.searchsorted(query.words, query.words[starts], side="right").tolist()


def _other(query: Query, start: int, tail: int, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The word of the tokens [start, tail) spelt the other way; empty when that finds nothing more.

    Where the space is a token of its own, what is found with it is also found without.
    """
    word = query.text[int(query.offsets[start]) : int(query.offsets[tail])]
    if len(word) > LONGEST_WORD or word.isspace():
        return ()
    spelt = tokenizer.word(word[1:] if word[0] == " " else " " + word)
    return () if spelt[1:] == tuple(query.ids[start:tail].tolist()) else spelt
