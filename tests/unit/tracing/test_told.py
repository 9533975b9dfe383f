"""A trace that is too large is told with less, and says so."""

import pytest

from services.tracing.told import LARGEST, fitted
from shared.contracts.tracing import Match, Span, Trace, TracedDocument, TraceTimings


def trace(spans: int, documents: int, side: int, *, tokens: int = 500) -> Trace:
    """Spans of one word, each in so many documents, the same for all, with so many words on either side."""
    snippet = "ähm " * side + "seal" + " ähm" * side
    matches = [
        Match(
            id=f"d{number}",
            owner="papers",
            corpus="papers",
            snippet=snippet,
            match_start=4 * side,
            match_end=4 * side + 4,
            token=number,
            score=-number,
        )
        for number in range(documents)
    ]
    about = {"source": "s", "title": "T", "licence": "CC0-1.0", "owner": "papers", "corpus": "papers"}
    return Trace(
        spans=[
            Span(
                start=5 * number,
                end=5 * number + 4,
                text="seal",
                length=1,
                count=documents,
                relevance="low",
                owners=["papers"],
                documents=matches,
            )
            for number in range(spans)
        ],
        documents=[TracedDocument(id=match.id, score=match.score, relevance="low", **about) for match in matches],
        tokens=tokens,
        owners=["papers"],
        corpora=["papers"],
        timings=TraceTimings(),
    )


def size(told: Trace) -> int:
    return len(told.model_dump_json().encode())


def test_a_trace_that_is_small_enough_is_told_as_it_is() -> None:
    small = trace(10, 10, 20)
    assert fitted(small) is small


def test_snippets_are_shortened_between_words_before_a_document_is_left_out() -> None:
    large = trace(25, 10, 60)
    told = fitted(large)
    assert size(large) > LARGEST >= size(told)
    assert [len(span.documents) for span in told.spans] == [10] * 25
    assert told.documents == large.documents
    for match in told.spans[0].documents:
        assert match.snippet[match.match_start : match.match_end] == "seal"
        assert set(match.snippet.split()) == {"ähm", "seal"}
        assert match.snippet in large.spans[0].documents[0].snippet
    assert "snippets have at most" in told.warnings[0]
    assert "documents" not in told.warnings[0]


@pytest.mark.parametrize(("spans", "documents"), [(25, 100), (300, 100), (600, 3)])
def test_documents_are_fewer_where_short_snippets_are_not_enough_and_no_span_is_left_out(
    spans: int, documents: int
) -> None:
    told = fitted(trace(spans, documents, 60))
    assert size(told) <= LARGEST
    assert len(told.spans) == spans
    kept = [match.id for match in told.spans[0].documents]
    assert kept == [f"d{number}" for number in range(len(kept))]
    assert [document.id for document in told.documents] == kept
    assert f"a span at most {len(kept)} documents" in told.warnings[0]


def test_a_longer_text_may_have_a_longer_answer() -> None:
    large = trace(60, 10, 60, tokens=10_000)
    assert size(large) > LARGEST
    assert fitted(large) is large


def test_the_same_trace_is_always_told_alike() -> None:
    assert fitted(trace(25, 100, 60)) == fitted(trace(25, 100, 60))


def test_of_many_passages_with_long_ids_the_first_is_named() -> None:
    many = [f"{number}" * 1000 for number in range(10)]
    large = trace(300, 1, 0)
    spans = [span.model_copy(update={"in_passages": many}) for span in large.spans]
    told = fitted(large.model_copy(update={"spans": spans}))
    assert all(span.copied and span.in_passages == many[:1] for span in told.spans)
    assert "only the first is named" in told.warnings[0]
    few = [span.model_copy(update={"in_passages": ["a#1", "b#2"]}) for span in trace(10, 1, 0).spans]
    assert fitted(large.model_copy(update={"spans": few})).spans == few
