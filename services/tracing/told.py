"""A trace as it is told: spans with their matches, each document once, and all of it of a bounded size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from services.tracing.catalogue import Selection
from services.tracing.trace.copied import Read
from services.tracing.trace.procedure import TracedDocument, TracedSpan
from shared.contracts import tracing as wire

LARGEST = 100_000
"""Bytes of an answer about a text of at most 500 tokens; of a longer one, `BYTES_PER_TOKEN` more for each."""
BYTES_PER_TOKEN = 200
TIMINGS = 200
"""Bytes of an answer's timings, at most."""
SIDES = (160, 80, 40, 20)
"""Characters left on either side of the matches in an answer that is too large, one after the other."""


class WasRead(NamedTuple):
    """What the writer of a text had read: the prompt, and passages by id."""

    prompt: Read
    passages: Sequence[tuple[str, Read]]

    def stands(self, words: str, cut: bool) -> tuple[bool, list[str]]:
        """Whether words stand in the prompt, and the ids of the passages in which they do; `cut` as Read.has."""
        passages = [identity for identity, passage in self.passages if passage.has(words, cut=cut)]
        return self.prompt.has(words, cut=cut), list(dict.fromkeys(passages))


Stands = Callable[[str, bool], tuple[bool, list[str]]]
"""As WasRead.stands."""
Documents = Mapping[tuple[int, int], wire.TracedDocument]
"""By the number of the segment and that of the document in it."""


def documents_of(spans: Sequence[TracedSpan], selection: Selection) -> Documents:
    """The documents in which any of the spans stands, each once, best first, else in the order of the spans."""
    found: dict[tuple[int, int], TracedDocument] = {}
    for document in (document for span in spans for document in span.documents):
        found.setdefault((document.occurrence.segment, document.occurrence.document), document)
    best_first = sorted(found.items(), key=lambda one: -one[1].score)
    return {place: _document(document, selection) for place, document in best_first}


def spans_of(
    spans: Sequence[TracedSpan], text: str, selection: Selection, documents: Documents, read: WasRead
) -> list[wire.Span]:
    """The spans of a text, with what its writer had read marked, and their matches, best first; `documents` has those
    of all of them."""
    # many spans of a long text are the same words
    stands = cache(read.stands)
    return [_span(span, text, selection, documents, stands) for span in spans]


def fitted(trace: wire.Trace) -> wire.Trace:
    """The trace if it is not too large; else one with shorter snippets, and then with fewer documents, that says so.

    No span is left out here, so that what the spans alone take is the least. Of its passages one is, and first, if
    their ids alone are too much.
    """
    limit = max(LARGEST, BYTES_PER_TOKEN * trace.tokens)
    if sum(len(identity) for span in trace.spans for identity in span.in_passages) > limit:
        spans = [span.model_copy(update={"in_passages": span.in_passages[:1]}) for span in trace.spans]
        why = "The ids of passages would fill the answer: of those in which a span stands only the first is named."
        trace = trace.model_copy(update={"spans": spans, "warnings": [*trace.warnings, why]})
    size = _bytes(trace)
    if size <= limit:
        return trace
    why = f"The whole answer would be {size:,} bytes and at most {limit:,} are sent: "
    smaller = trace
    for side in SIDES:
        cut = f"{why}snippets have at most {side} characters on either side."
        smaller = _with_less(trace, side, None, cut)
        if _bytes(smaller) <= limit:
            return smaller
    most = max(len(span.documents) for span in trace.spans) if trace.spans else 0
    while most and _bytes(smaller) > limit:
        most //= 2
        cut = f"{why}snippets have at most {SIDES[-1]} characters on either side, and a span at most {most} documents."
        smaller = _with_less(trace, SIDES[-1], most, cut)
    return smaller


def _with_less(trace: wire.Trace, side: int, most: int | None, why: str) -> wire.Trace:
    spans = [
        span.model_copy(update={"documents": [_shorter(match, side) for match in span.documents[:most]]})
        for span in trace.spans
    ]
    left = {(match.corpus, match.id) for span in spans for match in span.documents}
    documents = [document for document in trace.documents if (document.corpus, document.id) in left]
    return trace.model_copy(update={"spans": spans, "documents": documents, "warnings": [*trace.warnings, why]})


def _shorter(match: wire.Match, side: int) -> wire.Match:
    """With at most so many characters before and after what matched, cut between words where there is a space."""
    before, after = match.snippet[: match.match_start], match.snippet[match.match_end :]
    matched = match.snippet[match.match_start : match.match_end]
    if len(before) > side:
        before = before[len(before) - side :]
        before = before[before.find(" ") + 1 :]
    if len(after) > side:
        after = after[:side]
        after = after[: after.rfind(" ")] if " " in after else after
    return match.model_copy(
        update={
            "snippet": before + matched + after,
            "match_start": len(before),
            "match_end": len(before) + len(matched),
        }
    )


def _bytes(trace: wire.Trace) -> int:
    # timings have more digits one time than another, and the same request must always be answered alike
    return TIMINGS + len(trace.model_dump_json(exclude={"timings"}).encode("utf-8"))


def _span(span: TracedSpan, text: str, selection: Selection, documents: Documents, stands: Stands) -> wire.Span:
    words = text[span.start : span.end]
    in_prompt, in_passages = stands(words, span.end == len(text))
    return wire.Span(
        start=span.start,
        end=span.end,
        text=words,
        length=span.length,
        count=span.count,
        relevance=span.relevance,
        in_prompt=in_prompt,
        in_passages=in_passages,
        owners=list(dict.fromkeys(selection.corpora[segment].owner for segment in span.segments)),
        documents=[_match(match, selection, documents) for match in span.documents],
    )


def _match(match: TracedDocument, selection: Selection, documents: Documents) -> wire.Match:
    at = match.occurrence
    document = documents[at.segment, at.document]
    first, _ = selection.segments[at.segment].bounds(at.document)
    return wire.Match(
        id=document.id,
        corpus=document.corpus,
        owner=document.owner,
        snippet=match.snippet.text,
        match_start=match.snippet.start,
        match_end=match.snippet.end,
        token=at.position - first,
        tokens=at.length,
        score=document.score,
    )


def _document(document: TracedDocument, selection: Selection) -> wire.TracedDocument:
    at = document.occurrence
    corpus = selection.corpora[at.segment]
    return wire.TracedDocument(
        **vars(selection.segments[at.segment].record(at.document)),
        corpus=corpus.id,
        owner=corpus.owner,
        score=round(document.score, 3),
        relevance=document.relevance,
    )
