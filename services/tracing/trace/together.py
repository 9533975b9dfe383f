"""One trace over corpora of several tokenizers: each is traced with its own, and what they find is put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from services.tracing.index.segment import Segment
from services.tracing.tokenizer import Tokenizer
from services.tracing.trace.procedure import Options, Traced, TracedDocument, TracedSpan, trace

Group = tuple[Tokenizer, list[int]]
"""A tokenizer and the numbers of the segments that were made with it."""


def by_tokenizer(segments: Sequence[Segment]) -> list[Group]:
    """The segments by tokenizer, in the order in which those come first."""
    groups: dict[str, Group] = {}
    for number, segment in enumerate(segments):
        groups.setdefault(segment.tokenizer.fingerprint, (segment.tokenizer, []))[1].append(number)
    return list(groups.values())


def trace_all(text: str, prompt: str, segments: Sequence[Segment], tokenizer: Tokenizer, options: Options) -> Traced:
    """As `trace`, with segments of any tokenizers; `tokenizer` is the one to count the text with when there are none.

    A span that several tokenizers find has the counts of all, and one that another's contains is left out.
    """
    groups = by_tokenizer(segments)
    if not groups:
        return trace(text, prompt, [], tokenizer, options)
    traced = [
        _renumbered(trace(text, prompt, [segments[number] for number in numbers], own, options), numbers)
        for own, numbers in groups
    ]
    if len(traced) == 1:
        return traced[0]
    spans: dict[tuple[int, int], TracedSpan] = {}
    for span in (span for one in traced for span in one.spans):
        same = spans.get((span.start, span.end))
        spans[span.start, span.end] = _joined(same, span, options.documents) if same else span
    steps: Counter[str] = Counter()
    for one in traced:
        steps.update(one.milliseconds)
    kept = _maximal(spans.values())
    if options.max_spans is not None and len(kept) > options.max_spans:
        longest = sorted(kept, key=lambda span: span.start - span.end)[: options.max_spans]
        kept = sorted(longest, key=lambda span: span.start)
    warnings = list(dict.fromkeys(warning for one in traced for warning in one.warnings))
    return Traced(traced[0].tokens, kept, dict(steps), warnings)


def _renumbered(traced: Traced, numbers: Sequence[int]) -> Traced:
    """With the numbers that segments have among all."""
    if list(numbers) == list(range(len(numbers))):
        return traced

    def move(document: TracedDocument) -> TracedDocument:
        at = document.occurrence
        return replace(document, occurrence=at._replace(segment=numbers[at.segment]))

    return replace(
        traced,
        spans=[
            replace(
                span,
                segments=[numbers[segment] for segment in span.segments],
                documents=[move(document) for document in span.documents],
            )
            for span in traced.spans
        ],
    )


def _joined(one: TracedSpan, other: TracedSpan, most: int) -> TracedSpan:
    documents = sorted([*one.documents, *other.documents], key=lambda document: -document.score)[:most]
    relevance = documents[0].relevance if documents else one.relevance
    return replace(
        one,
        count=one.count + other.count,
        segments=sorted([*one.segments, *other.segments]),
        documents=documents,
        relevance=relevance,
    )


def _maximal(spans: Iterable[TracedSpan]) -> list[TracedSpan]:
    """In order, without those that another contains."""
    kept: list[TracedSpan] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if not kept or span.end > kept[-1].end:
            kept.append(span)
    return kept
