"""Stretches of a text as patterns to search for, with a space before the first word and without.

A text is tokenised on its own, and its first word has no space before it; nor has a word after a bracket or a
newline. The same words in the middle of a document do, and byte-level BPE gives them other tokens. So each
stretch is looked for both ways. An occurrence is only ever found one way: see `_other`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.tracing.search import Patterns
from services.tracing.tokenizer import Tokenizer
from services.tracing.trace.query import Query

Numbers = NDArray[np.int64]
LONGEST_WORD = 64
"""Characters of a word that is looked for both ways; what is longer is no word."""


@dataclass(frozen=True)
class Phrases:
    """Patterns for stretches of a text that begin at some of its tokens.

    `start` (patterns,) int64: the token of the text at which a pattern begins, each token once or twice.
    `patterns` reach to the end of the text.
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


def phrases(query: Query, starts: Numbers, tokenizer: Tokenizer) -> Phrases:
    """The patterns of the stretches that begin at the given tokens, ordered by start."""
    rows: list[tuple[int, int, int, int]] = []
    heads: list[int] = []
    for start in starts.tolist():
        rows.append((start, 0, 0, start))
        other = _other(query, start, tokenizer)
        if other is not None:
            word, following = other
            rows.append((start, len(heads), len(word), following))
            heads += word
    first, head, split, tail = np.array(rows, dtype=np.int64).reshape(-1, 4).T.copy()
    length = split + query.tokens - tail
    return Phrases(first, Patterns(query.ids, np.array(heads, dtype=query.ids.dtype), head, split, tail, length))


def _other(query: Query, start: int, tokenizer: Tokenizer) -> tuple[tuple[int, ...], int] | None:
    """The word at a token spelt the other way, and the token after it; None when that finds nothing more.

    Only for a token that begins a pre-token: no merge crosses its edges, so that its tokens are the same wherever
    it stands. Where the space is a token of its own, what is found with it is also found without.
    """
    if start > 0 and query.words[start] == query.words[start - 1]:
        return None
    tail = int(np.searchsorted(query.words, query.words[start], side="right"))
    word = query.text[int(query.offsets[start]) : int(query.offsets[tail])]
    if len(word) > LONGEST_WORD or word.isspace():
        return None
    spelt = tokenizer.word(word[1:] if word[0] == " " else " " + word)
    if spelt[1:] == tuple(query.ids[start:tail].tolist()):
        return None
    return spelt, tail
