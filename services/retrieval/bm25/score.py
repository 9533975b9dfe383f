"""BM25 scores over a set of segments."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from services.retrieval.bm25.postings import Pairs, Places, Postings
from services.retrieval.ranking import Rows

K1 = 1.5
B = 0.75

_BLOCK = 1 << 14
"""Rows that are scored at once, so that their scores and lengths stay in the processor's cache."""

Floats = NDArray[np.float64]
Scored = tuple[NDArray[np.int64], Floats]
"""Rows of a segment, ascending, and their scores."""

_Function = TypeVar("_Function", bound=Callable[..., Any])
_compiled: Callable[[_Function], _Function] = numba.njit(nogil=True, cache=True)


def best(
    segments: Sequence[Postings], query: Sequence[str], count: int, alive: Sequence[Rows], allowed: Sequence[Rows]
) -> list[Scored]:
    """Of each segment the passages that may belong to the best `count` of all for a query given as its words: of those
    `allowed`, which are alive, at least all that belong to the best.

    Document frequencies and the mean length are those of the segments given, less the rows that are not `alive`, and of
    nothing else: a score is to the last bit that of an index which never held the others. (An index of ready-made
    weights, as bm25s keeps, would have to be made anew for each set of owners.)

    Source: BM25 in Lucene's form (Kamphuis et al. 2020), with k1 = 1.5 and b = 0.75, as bm25s has by default.
    """
    sizes = [segment.size(rows) for segment, rows in zip(segments, alive, strict=True)]
    passages = sum(size for size, _ in sizes)
    mean_length = sum(length for _, length in sizes) / max(passages, 1)
    words = sorted(Counter(query).items())
    places = [segment.places([word for word, _ in words]) for segment in segments]
    living = [_living(segment.pairs, at, rows) for segment, at, rows in zip(segments, places, alive, strict=True)]
    rarities = np.empty(len(words))
    for number, (_, times) in enumerate(words):
        frequency = sum(int(counts[number]) for counts in living)
        rarities[number] = times * math.log1p((passages - frequency + 0.5) / (frequency + 0.5))
    least = np.zeros(count)
    found = []
    for segment, at, may in zip(segments, places, allowed, strict=True):
        penalties: Floats = K1 * (1 - B + B * np.arange(segment.longest + 1, dtype=np.float64) / (mean_length or 1))
        found.append(_best((segment.pairs, at, segment.lengths), (rarities, penalties), least, may))
    return found


@_compiled
def _living(pairs: Pairs, places: Places, alive: Rows) -> NDArray[np.int64]:
    """How many postings of each word are of rows that are alive."""
    counts = places[:, 1] - places[:, 0]
    if alive is not None:
        for word in range(len(places)):
            counts[word] = 0
            for number in range(places[word, 0], places[word, 1]):
                counts[word] += alive[pairs[number, 0]]
    return counts


@_compiled
def _best(
    segment: tuple[Pairs, Places, NDArray[np.int32]], weights: tuple[Floats, Floats], least: Floats, allowed: Rows
) -> Scored:
    """The rows of one segment whose scores are above 0 and not below the least of the best.

    `segment` has the postings, the places in them of each word's, and the rows' lengths; `weights` the rarity of each
    word, and the penalty by length. `least` is a heap of the best scores yet, the least of them first, which goes on to
    the next segment. Block by block, so that nothing as long as the segment is filled and read again.
    """
    pairs, places, lengths = segment
    rarities, penalties = weights
    nexts = places[:, 0].copy()
    scores = np.zeros(_BLOCK)
    rows, values, found = np.empty(_BLOCK, np.int64), np.empty(_BLOCK), 0
    for start in range(0, len(lengths), _BLOCK):
        block = lengths[start : start + _BLOCK]
        for word in range(len(places)):
            postings = pairs[nexts[word] : places[word, 1]]
            nexts[word] += _add(scores, postings, (start, block), rarities[word], penalties)
        if allowed is not None:
            scores[: len(block)] *= allowed[start : start + _BLOCK]
        if found + _BLOCK > len(rows):
            rows, values = np.append(rows, np.empty_like(rows)), np.append(values, np.empty_like(values))
        found += _take(scores, start, least, rows[found:], values[found:])
        scores[:] = 0
    kept = values[:found] >= least[0]
    return rows[:found][kept], values[:found][kept]


# Functions of their own, and not loops in that above: there each step would count its references to the arrays.


@_compiled
def _add(
    scores: Floats, postings: Pairs, block: tuple[int, NDArray[np.int32]], rarity: float, penalties: Floats
) -> int:
    """Add to the scores of a block what one word gives; how many of the postings, the first, are of it. `block` is its
    first row, and the lengths of its rows."""
    start, lengths = block
    for number in range(len(postings)):
        place, count = postings[number, 0] - start, postings[number, 1]
        if place >= len(lengths):
            return number
        scores[place] += rarity * count / (count + penalties[lengths[place]])
    return len(postings)


@_compiled
def _take(scores: Floats, start: int, least: Floats, rows: NDArray[np.int64], values: Floats) -> int:
    """Write down which rows of a block may be among the best, and their scores; how many they are."""
    found = 0
    for place in range(len(scores)):
        score = scores[place]
        if score >= least[0] and score > 0:
            rows[found], values[found] = start + place, score
            found += 1
            _push(least, score)
    return found


@_compiled
def _push(heap: Floats, score: float) -> None:
    """Put a score in the place of the least, the first of a heap, if it is more."""
    place = 0
    while score > heap[place]:
        child = 2 * place + 1
        if child + 1 < len(heap) and heap[child + 1] < heap[child]:
            child += 1
        if child >= len(heap) or heap[child] >= score:
            heap[place] = score
            return
        heap[place] = heap[child]
        place = child
