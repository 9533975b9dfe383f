"""Extending a run of equal words over small gaps, in numba; it calls nothing that is compiled elsewhere."""

from __future__ import annotations

import numpy as np

from services.tracing.search.arrays import Numbers
from services.tracing.search.kernels import compiled
from services.tracing.tokenizer import Ids

GAP = 4
"""Words that may differ in a row, on either side."""
RUN = 2
"""Equal words in a row after which both sides are taken to go on together."""


@compiled
def extend(words: Ids, ids: Ids, within: tuple[int, int], run: tuple[int, int, int]) -> tuple[Numbers, Numbers]:
    """The stretch of a text that goes on, but for small gaps, as a document does around a run of equal words.

    `words`: those of an index; `within`: the document's places [first, last) among them; `ids`: the text's words;
    `run`: where equal words begin in the text and in the document, and how many they are. (5,) int64: first and last of
    the text, first and last of the document, and how many words are equal. And the gaps, (gaps, 4) int64 in no order:
    first and last of the text and of the document. Of several ways over a gap the shortest is taken.
    """
    first, last = within
    text, place, length = run
    found = np.array([text, text + length, place, place + length, length])
    gaps, size = np.empty((16, 4), dtype=np.int64), 0
    a, b = text + length, place + length
    while True:
        step, skip = _gap(words, ids, (a, b), (ids.size, last), 1)
        if step < 0:
            break
        gaps, size = _with(gaps, size, (a, a + step), (b, b + skip))
        a, b = a + step, b + skip
        while a < ids.size and b < last and ids[a] == words[b]:
            a, b, found[4] = a + 1, b + 1, found[4] + 1
        found[1], found[3] = a, b
    a, b = text - 1, place - 1
    while True:
        step, skip = _gap(words, ids, (a, b), (-1, first - 1), -1)
        if step < 0:
            break
        gaps, size = _with(gaps, size, (a - step + 1, a + 1), (b - skip + 1, b + 1))
        a, b = a - step, b - skip
        while a >= 0 and b >= first and ids[a] == words[b]:
            a, b, found[4] = a - 1, b - 1, found[4] + 1
        found[0], found[2] = a + 1, b + 1
    return found, gaps[:size]


@compiled
def _with(gaps: Numbers, size: int, ours: tuple[int, int], theirs: tuple[int, int]) -> tuple[Numbers, int]:
    """One gap more, in an array with room for others."""
    if size == gaps.shape[0]:
        gaps = np.concatenate((gaps, np.empty_like(gaps)))
    gaps[size, 0], gaps[size, 1] = ours
    gaps[size, 2], gaps[size, 3] = theirs
    return gaps, size + 1


@compiled
def _gap(words: Ids, ids: Ids, at: tuple[int, int], ends: tuple[int, int], way: int) -> tuple[int, int]:
    """How many words to leave out of the text and of the document until RUN are equal; -1, -1 where none are near.

    `ends` are the first places past the words of both, in the direction `way`, 1 or -1.
    """
    for total in range(2 * GAP + 1):
        for step in range(max(0, total - GAP), min(total, GAP) + 1):
            a, b = at[0] + way * step, at[1] + way * (total - step)
            if (ends[0] - a) * way < RUN or (ends[1] - b) * way < RUN:
                continue
            equal = 0
            while equal < RUN and ids[a + way * equal] == words[b + way * equal]:
                equal += 1
            if equal == RUN:
                return step, total - step
    return -1, -1
