"""What follows a run of tokens: the n-gram distribution of the next token, and infinity-gram's back-off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.tracing.index.segment import Segment
from services.tracing.search.kernels import END, following, range_of
from services.tracing.tokenizer import Ids


@dataclass(frozen=True)
class Continuation:
    """What follows the last `context` tokens of a text: `counts` by token, most frequent first; END ends a document.

    All of them together are `count`, how often those tokens occur.
    """

    context: int
    count: int
    counts: dict[int, int]


def continuation(ids: Ids, segments: Sequence[Segment]) -> Continuation:
    """What follows exactly these tokens, in all segments together; without tokens, how often each token occurs."""
    counts: Counter[int] = Counter()
    if not ids.size:
        for segment in segments:
            every = np.arange(segment.index.firsts.size).astype(ids.dtype)
            occurrences = segment.occurrences(every)
            counts.update({int(token): int(occurrences[token]) for token in np.flatnonzero(occurrences)})
            counts[END] += segment.documents
    else:
        for segment in segments:
            low, high, count = range_of(segment.index, ids)
            if count:
                for token, times in following(segment.index, low, high, ids.size).tolist():
                    counts[token] += times
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Continuation(int(ids.size), sum(counts.values()), {token: times for token, times in ordered if times})


def backed_off(ids: Ids, segments: Sequence[Segment]) -> Continuation:
    """What follows the longest suffix of these tokens that occurs in any segment, if only at the end of a document.

    Source: the infinity-gram language model (Liu et al. 2024).
    """
    return continuation(ids[ids.size - _longest_suffix(ids, segments) :], segments)


def _longest_suffix(ids: Ids, segments: Sequence[Segment]) -> int:
    """Its length in tokens. A suffix of one that occurs occurs too, so halving finds it."""
    shortest, longest = 0, int(ids.size)
    while shortest < longest:
        length = (shortest + longest + 1) // 2
        suffix = ids[ids.size - length :]
        if any(range_of(segment.index, suffix)[2] for segment in segments):
            shortest = length
        else:
            longest = length - 1
    return shortest
