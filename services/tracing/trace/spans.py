"""Steps 1 to 3 of OLMoTrace: the maximal spans of a text that stand verbatim in segments, and the ones to keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.tracing.index.segment import Segment
from services.tracing.search.kernels import longest, ranges
from services.tracing.tokenizer import Tokenizer
from services.tracing.trace.phrases import Phrases, phrases
from services.tracing.trace.query import Query

Numbers = NDArray[np.int64]
KEPT = 0.05
"""Spans kept for each token of the text, as OLMoTrace does."""


class Hits(NamedTuple):
    """The ranks [low, high) of one segment's suffixes that begin with a pattern of `length` tokens.

    `times` of them are of documents that are not hidden.
    """

    segment: int
    low: int
    high: int
    times: int
    length: int


@dataclass(frozen=True)
class Span:
    """The tokens [first, last) of a text, where they stand, and how often in all segments that were searched."""

    first: int
    last: int
    hits: tuple[Hits, ...]
    count: int

    @property
    def length(self) -> int:
        """In tokens."""
        return self.last - self.first


def find_spans(
    query: Query, segments: Sequence[Segment], tokenizer: Tokenizer, *, min_length: int, max_count: int
) -> list[Span]:
    """The maximal spans of a text in its order: none is contained in another, though they may overlap.

    A span is the longest match from the beginning of a word on, cut after its first delimiter and then back to
    the end of a word; it has at least `min_length` tokens and occurs at most `max_count` times.
    """
    if not segments:
        return []
    # what follows the first delimiter need not be compared: a span ends there at the latest
    candidates = phrases(query, query.starts, query.stops[query.starts], tokenizer)
    ends = _trimmed(query, candidates, _reached(candidates, segments))
    at = np.zeros(query.tokens, dtype=np.int64)
    np.maximum.at(at, candidates.start, ends)
    chosen = candidates.until(at[candidates.start], _maximal(at)[candidates.start])
    spans = locate(chosen, segments)
    return [span for span in spans if span.length >= min_length and span.count <= max_count]


def locate(chosen: Phrases, segments: Sequence[Segment]) -> list[Span]:
    """The spans that phrases are, in the order of the text, with where they stand; ones that stand nowhere too."""
    hits: dict[tuple[int, int], list[Hits]] = {}
    keys = list(zip(chosen.start.tolist(), chosen.ends().tolist(), strict=True))
    for key in keys:
        hits.setdefault(key, [])
    lengths = chosen.patterns.length.tolist()
    for number, segment in enumerate(segments):
        found = ranges(segment.index, chosen.patterns)
        there = np.flatnonzero(found[:, 2])
        for at, (low, high, count) in zip(there.tolist(), found[there].tolist(), strict=True):
            hits[keys[at]].append(Hits(number, low, high, count, lengths[at]))
    return [Span(first, last, tuple(where), sum(hit.times for hit in where)) for (first, last), where in hits.items()]


def keep(spans: Sequence[Span], query: Query, segments: Sequence[Segment], most: int | None) -> list[Span]:
    """The `most` least likely spans, by the sum of their tokens' unigram log-probabilities; in the order of the text.

    `most` None is OLMoTrace's ceil(0.05 x tokens of the text).
    """
    counts = np.zeros(query.tokens, dtype=np.int64)
    for segment in segments:
        counts += segment.occurrences(query.ids)
    total = max(1, sum(segment.tokens for segment in segments))
    # a token can be in no corpus where a span was found with its first word spelt the other way
    surprise = np.concatenate(([0.0], np.cumsum(np.log(np.maximum(counts, 1) / total))))
    most = math.ceil(KEPT * query.tokens) if most is None else most
    likeliest_last = sorted(spans, key=lambda span: (surprise[span.last] - surprise[span.first], span.first))
    return sorted(likeliest_last[:most], key=lambda span: span.first)


def _reached(candidates: Phrases, segments: Sequence[Segment]) -> Numbers:
    """The edge of the text that the longest match of each pattern reaches in any segment."""
    matched = np.zeros(candidates.start.size, dtype=np.int64)
    for segment in segments:
        np.maximum(matched, longest(segment.index, candidates.patterns), out=matched)
    return candidates.edges(matched)


def _trimmed(query: Query, candidates: Phrases, reached: Numbers) -> Numbers:
    """The edge where each pattern's match ends once it is cut back to the end of a word; 0 for no match."""
    ends = query.ends[reached]
    return np.where((ends > candidates.start) & (ends >= candidates.patterns.tail), ends, 0)


def _maximal(ends: Numbers) -> NDArray[np.bool_]:
    """Which tokens begin a span that no span from further left contains; `ends` is 0 where none begins."""
    before = np.concatenate(([0], np.maximum.accumulate(ends)[:-1]))
    return ends > before
