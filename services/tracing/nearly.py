"""The engine behind `approximate` of a trace: stretches of a text that stand nearly, told with their documents."""

from __future__ import annotations

from collections.abc import Sequence

from services.tracing.approximate.match import Approximate, approximate
from services.tracing.approximate.opened import WordIndexes
from services.tracing.catalogue import Selection
from services.tracing.trace.procedure import TracedSpan
from shared.contracts import tracing as wire

MOST = 100
"""Approximate matches in an answer."""


class Nearly:
    """Looks for approximate matches. Computes, so callers run it in threads."""

    def __init__(self) -> None:
        self._words = WordIndexes()

    def search(
        self, request: wire.TraceRequest, selection: Selection, spans: Sequence[TracedSpan]
    ) -> tuple[list[wire.ApproximateSpan], list[str]]:
        """What stands nearly and is no part of a verbatim span, and a warning for what could not be searched."""
        indexes, missing = self._words.of(selection.segments)
        numbers = [number for number, _ in indexes]
        found = approximate(
            request.text,
            [(selection.segments[number], index) for number, index in indexes],
            min_words=request.min_words,
            similarity=request.similarity,
            most=MOST,
        )
        verbatim = [(span.start, span.end) for span in spans]
        told = [
            _told(match, numbers[match.segment], request.text, selection)
            for match in found
            if not any(start <= match.start and match.end <= end for start, end in verbatim)
        ]
        return told, [f"approximate matches: {fault}" for fault in missing]


def _told(match: Approximate, number: int, text: str, selection: Selection) -> wire.ApproximateSpan:
    corpus, record = selection.corpora[number], selection.segments[number].record(match.document)
    return wire.ApproximateSpan(
        **vars(record),
        corpus=corpus.id,
        owner=corpus.owner,
        start=match.start,
        end=match.end,
        text=text[match.start : match.end],
        similarity=round(match.similarity, 4),
        snippet=match.there,
        differences=[
            wire.Difference(start=one.start, end=one.end, match_start=one.there_start, match_end=one.there_end)
            for one in match.differences
        ],
    )
