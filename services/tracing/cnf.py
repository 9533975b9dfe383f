"""Conjunctions of alternatives: where one of each clause's runs of tokens stands, all near one another.

Source: infini-gram's CNF queries (Liu et al. 2024). It lists all occurrences of every clause; here those of the rarest
one are listed, and the tokens around each are read for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.tracing.index.segment import Segment
from services.tracing.search.arrays import Numbers, stretches
from services.tracing.search.kernels import living, near, positions, range_of
from services.tracing.tokenizer import Ids

Clause = Sequence[Ids]
"""Runs of tokens, any of which will do."""
MOST_READ = 1 << 30
"""Tokens that are compared with the other clauses' runs at most, in a second or two."""


@dataclass(frozen=True)
class Found:
    """Places of the rarest clause that have all others near them, by segment.

    `places[n]` (found,) are positions, ascending, `lengths[n]` the tokens that stand there, and `counts[n]` how many
    such places there are. `approximate`: that clause is more frequent than the limit, so that only so many of its
    places were looked at, drawn at even distances in suffix order, and the counts are estimated from them.
    """

    approximate: bool
    counts: list[int]
    places: list[Numbers]
    lengths: list[Numbers]

    @property
    def count(self) -> int:
        """In all segments."""
        return sum(self.counts)


def find_all(clauses: Sequence[Clause], segments: Sequence[Segment], distance: int, limit: int) -> Found:
    """Places of the rarest clause with one of every other clause in the same document and at most `distance` tokens
    away, from first token to first token. No clause and no run of tokens is empty."""
    found = [[_ranges(clause, segment) for segment in segments] for clause in clauses]
    totals = [sum(_frequency(ranges) for ranges in everywhere) for everywhere in found]
    rarest = min(range(len(clauses)), key=totals.__getitem__)
    others = [clause for number, clause in enumerate(clauses) if number != rarest]
    runs, tokens = sum(map(len, others)), sum(int(segment.index.tokens.size) for segment in segments)
    if runs * tokens > MOST_READ:
        limit = min(limit, MOST_READ // (runs * (2 * distance + 1)))
    share = min(1.0, limit / max(1, totals[rarest]))
    counts, places, lengths = [], [], []
    for segment, ranges in zip(segments, found[rarest], strict=True):
        at, length = _places(ranges, segment, share)
        chosen = _with_all(at, others, segment, distance)
        looked = at.size / max(1, _frequency(ranges)) if share < 1 else 1.0
        counts.append(round(chosen.sum() / looked) if looked else 0)
        places.append(at[chosen])
        lengths.append(length[chosen])
    return Found(share < 1, counts, places, lengths)


class _Range(NamedTuple):
    """Where a run of `length` tokens stands: at the ranks [low, high), of which `times` are not dead."""

    length: int
    low: int
    high: int
    times: int

    def holds(self, other: _Range) -> bool:
        """Whether the other stands only where this one does: it is this one, or goes on from it."""
        return self.low <= other.low and other.high <= self.high


def _ranges(clause: Clause, segment: Segment) -> list[_Range]:
    """Of each alternative that stands anywhere, the shortest first."""
    found = [_Range(ids.size, *range_of(segment.index, ids)) for ids in sorted(clause, key=len)]
    return [one for one in found if one.times]


def _outer(ranges: Sequence[_Range]) -> list[_Range]:
    """Those that no other holds: no place is in two of them."""
    return [one for number, one in enumerate(ranges) if not any(other.holds(one) for other in ranges[:number])]


def _frequency(ranges: Sequence[_Range]) -> int:
    return sum(one.times for one in _outer(ranges))


def _places(ranges: Sequence[_Range], segment: Segment, share: float) -> tuple[Numbers, Numbers]:
    """Positions of a clause, ascending, and the length of the longest alternative at each; a share of all."""
    places, lengths = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for one in _outer(ranges):
        numbers = np.linspace(0, one.times, max(1, round(one.times * share)), endpoint=False, dtype=np.int64)
        ranks = living(segment.index, one.low, np.unique(numbers))
        length = np.full(ranks.size, one.length, dtype=np.int64)
        for longer in ranges:
            if one.holds(longer):
                length[(ranks >= longer.low) & (ranks < longer.high)] = longer.length
        places.append(positions(segment.index, ranks))
        lengths.append(length)
    at = np.concatenate(places)
    order = np.argsort(at)
    return at[order], np.concatenate(lengths)[order]


def _with_all(places: Numbers, others: Sequence[Clause], segment: Segment, distance: int) -> NDArray[np.bool_]:
    """Which of the places have all other clauses near them."""
    chosen = np.ones(places.size, dtype=np.bool_)
    documents = segment.documents_at(places).tolist()
    bounds = np.array([segment.bounds(document) for document in documents], dtype=np.int64).reshape(-1, 2)
    for clause in others:
        lengths = np.array([ids.size for ids in clause], dtype=np.int64)
        runs = stretches(np.concatenate(clause), np.cumsum(lengths) - lengths, lengths)
        chosen[chosen] = near(segment.index, places[chosen], bounds[chosen], runs, distance)
    return chosen
