"""The whole of OLMoTrace, from a text to spans with their documents.

Source: OLMoTrace, "Tracing Language Model Outputs Back to Trillions of Training Tokens" (Liu et al. 2025). What differs
here: words are looked for with and without a space before them; delimiters are tested on text; overlapping spans
stay apart, each verbatim, and are merged where they are drawn; every owner of a span is among its documents; BM25
takes its document frequencies from the index.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from services.tracing.index.segment import Segment
from services.tracing.tokenizer import Tokenizer
from services.tracing.trace.documents import Occurrence, Snippet, sample_documents, snippet, surroundings
from services.tracing.trace.query import Query, read
from services.tracing.trace.relevance import VIEW, Level, Relevance, level
from services.tracing.trace.spans import Span, find_spans, keep

MATCHES, MATCHES_A_TOKEN = 5000, 2
"""Matches looked up for a text, or for each of its tokens: more than an answer can have."""
OVERLAP = 8
"""How many times over the spans told may cover a text."""
AROUND, LEAST_AROUND = 100, 160
"""Tokens around each of so many matches together; but on either side of one, so many may be."""


@dataclass(frozen=True)
class Options:
    """OLMoTrace's parameters with its production values; lengths and contexts are in tokens.

    `max_spans` None keeps ceil(0.05 x tokens of the text). `documents` is how many are sampled for a span at most.
    `delimiters` and `whole_words` as `query.read` takes them.
    """

    min_length: int = 1
    max_count: int = 1_000_000
    max_spans: int | None = None
    documents: int = 10
    context: int = 40
    seed: int = 0
    delimiters: str = ".\n"
    whole_words: bool = True


@dataclass(frozen=True)
class TracedDocument:
    """A document in which a span stands; `score` is the best of all its matches in this trace."""

    occurrence: Occurrence
    snippet: Snippet
    score: float
    relevance: Level


@dataclass(frozen=True)
class TracedSpan:
    """`text[start:end]` of the text that was traced, in code points, with its documents, best first.

    `segments` are the numbers of all those in which it stands, in order.
    """

    start: int
    end: int
    length: int
    count: int
    relevance: Level
    segments: list[int]
    documents: list[TracedDocument]


@dataclass
class Traced:
    """The outcome; `milliseconds` by step, `warnings` on what was asked for and not looked up."""

    tokens: int
    spans: list[TracedSpan] = field(default_factory=list)
    milliseconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def trace(text: str, prompt: str, segments: Sequence[Segment], tokenizer: Tokenizer, options: Options) -> Traced:
    """Find where a text stands verbatim in segments. Raises UnicodeEncodeError for a lone surrogate."""
    clock = _Clock()
    query = read(text, tokenizer, options.delimiters, whole_words=options.whole_words)
    asked = tokenizer.encode(prompt).ids
    clock.lap("tokenize")
    found = find_spans(query, segments, tokenizer, min_length=options.min_length, max_count=options.max_count)
    kept = keep(found, query, segments, options.max_spans)
    kept, warnings = _apart(kept, query.tokens)
    options, more = _within_reason(options, kept, query.tokens)
    clock.lap("search")
    places = [_sampled(query, span, segments, options) for span in kept]
    snippets = [
        [snippet(segments[at.segment], at, _matched(query, span), options.context, tokenizer) for at in occurrences]
        for span, occurrences in zip(kept, places, strict=True)
    ]
    clock.lap("documents")
    scores = _scores(Relevance(asked, query.ids, segments, tokenizer), segments, places)
    characters = len(prompt) + len(text)
    spans = [
        _traced(query, span, list(zip(occurrences, shown, strict=True)), scores, characters)
        for span, occurrences, shown in zip(kept, places, snippets, strict=True)
    ]
    clock.lap("relevance")
    return Traced(query.tokens, spans, clock.milliseconds(), warnings + more)


def _apart(spans: Sequence[Span], tokens: int) -> tuple[list[Span], list[str]]:
    """The longest spans that are together at most OVERLAP times as long as the text, and a warning if that is not all.

    A text that repeats itself as documents do has spans of half its length at every place.
    """
    longest_first = sorted(spans, key=lambda span: (-span.length, span.first))
    lengths = np.cumsum([span.length for span in longest_first])
    fitting = max(1, int(np.searchsorted(lengths, OVERLAP * tokens, side="right")))
    if fitting >= len(spans):
        return list(spans), []
    warning = f"The {len(spans)} spans cover the text more than {OVERLAP} times: the {fitting} longest are told."
    return sorted(longest_first[:fitting], key=lambda span: span.first), [warning]


def _within_reason(options: Options, spans: Sequence[Span], tokens: int) -> tuple[Options, list[str]]:
    """With fewer documents and shorter snippets, and a warning, where what is looked up would fill the memory."""
    most = max(MATCHES, MATCHES_A_TOKEN * tokens)
    counts = np.array([span.count for span in spans], dtype=np.int64)
    documents = options.documents
    while documents > 1 and np.minimum(counts, documents).sum() > most:
        documents //= 2
    share = AROUND * most // (2 * max(1, int(np.minimum(counts, documents).sum())))
    context = min(options.context, max(LEAST_AROUND, share))
    if (documents, context) == (options.documents, options.context):
        return options, []
    warning = (
        f"So many spans were found that at most {documents} documents of each were looked up, "
        f"and {context} tokens around a match."
    )
    return replace(options, documents=documents, context=context), [warning]


Scores = dict[tuple[int, int], float]
"""The score of each document, by segment and number."""


def bounds(query: Query, span: Span) -> tuple[int, int]:
    """The code points [start, end) of a span; a space before its first word is not part of it."""
    start, end = int(query.offsets[span.first]), int(query.offsets[span.last])
    return start + (query.text[start] == " "), end


def _matched(query: Query, span: Span) -> bytes:
    start, end = bounds(query, span)
    return query.text[start:end].encode("utf-8")


def _sampled(query: Query, span: Span, segments: Sequence[Segment], options: Options) -> list[Occurrence]:
    # seeded by the span's own text: what is drawn for it does not depend on what else was found
    start, end = bounds(query, span)
    seed = f"{options.seed}:{query.text[start:end]}"
    return sample_documents(span.hits, segments, options.documents, seed)


def _scores(relevance: Relevance, segments: Sequence[Segment], places: Sequence[Sequence[Occurrence]]) -> Scores:
    """A document's score is that of its best match: the same document counts the same under every span."""
    best: Scores = {}
    by_segment: dict[int, list[Occurrence]] = {}
    for occurrence in (one for occurrences in places for one in occurrences):
        by_segment.setdefault(occurrence.segment, []).append(occurrence)
    for number, occurrences in by_segment.items():
        segment = segments[number]
        bounds = np.array([surroundings(segment, occurrence, VIEW) for occurrence in occurrences], dtype=np.int64)
        scores = relevance.scores(segment, bounds).tolist()
        for occurrence, score in zip(occurrences, scores, strict=True):
            identity = (number, occurrence.document)
            best[identity] = max(score, best.get(identity, 0.0))
    return best


def _traced(
    query: Query, span: Span, shown: Sequence[tuple[Occurrence, Snippet]], scores: Scores, characters: int
) -> TracedSpan:
    documents = []
    for occurrence, around in shown:
        score = scores[occurrence.segment, occurrence.document]
        documents.append(TracedDocument(occurrence, around, score, level(score, characters)))
    documents.sort(key=lambda document: -document.score)
    start, end = bounds(query, span)
    relevance: Level = documents[0].relevance if documents else "low"
    standing = sorted({hits.segment for hits in span.hits})
    return TracedSpan(start, end, span.length, span.count, relevance, standing, documents)


class _Clock:
    """Wall time by step."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self._laps[step], self._last = 1000 * (now - self._last), now

    def milliseconds(self) -> dict[str, float]:
        return {**self._laps, "total": 1000 * (self._last - self._started)}
