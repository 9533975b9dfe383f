"""The OLMoTrace procedure against brute force, on paragraphs of CPython's manual."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tracing.index.segment import Segment
from services.tracing.tokenizer import Tokenizer
from services.tracing.trace.procedure import Options, Traced, trace
from services.tracing.trace.query import read
from services.tracing.trace.spans import find_spans, keep
from tests.unit.tracing.brute import BruteCorpus
from tests.unit.tracing.conftest import Build

ALL = Options(max_spans=10_000, documents=100)


@pytest.fixture(scope="module")
def segments(build: Build, paragraphs: list[str]) -> list[Segment]:
    """One owner's corpus: the first 150 paragraphs."""
    return build({"manual": paragraphs[:150]})


@pytest.fixture(scope="module")
def brute(paragraphs: list[str], tokenizer: Tokenizer) -> BruteCorpus:
    return BruteCorpus(paragraphs[:150], tokenizer)


def stitched(paragraphs: Sequence[str], seed: int) -> str:
    """What a model might say: pieces of documents cut anywhere, run together, with words of its own between them."""
    dice = random.Random(seed)
    pieces = []
    for _ in range(dice.randint(1, 4)):
        source = dice.choice(paragraphs)
        start = dice.randrange(len(source))
        pieces.append(source[start : start + dice.randint(5, 120)])
        pieces.append(dice.choice(["", " ", " and so ", "\n", "Banana ", "(", ". "]))
    return "".join(pieces) or "nothing"


def outcome(traced: Traced, segments: Sequence[Segment]) -> list[tuple[int, int, int, int, frozenset[str]]]:
    """Offsets, length, count and the ids of the documents of each span."""
    return [
        (
            span.start,
            span.end,
            span.length,
            span.count,
            frozenset(
                segments[found.occurrence.segment].record(found.occurrence.document).id for found in span.documents
            ),
        )
        for span in traced.spans
    ]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_spans_counts_and_documents_are_those_of_a_search_in_strings(
    seed: int, paragraphs: list[str], segments: list[Segment], brute: BruteCorpus, tokenizer: Tokenizer
) -> None:
    text = stitched(paragraphs[:170], seed)
    traced = trace(text, "", segments, tokenizer, ALL)
    expected = [
        (span.start, span.end, span.length, span.count, frozenset(f"manual:manual-{n}" for n in span.documents))
        for span in brute.spans(text)
    ]
    assert [found[:4] for found in outcome(traced, segments)] == [one[:4] for one in expected]
    for found, (*_, documents) in zip(outcome(traced, segments), expected, strict=True):
        # documents are sampled by occurrence: of a span that occurs very often not every document is drawn
        assert found[4] == documents if len(documents) <= 100 and found[3] <= 400 else found[4] <= documents


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(st.sampled_from("ab .\n'\u2019é\u0301👩🏽\u200d🔬日本🇫🇷ñ\x04\U00050000_1"), min_size=1, max_size=30)
)
def test_spans_and_snippets_are_verbatim_and_exact_in_any_unicode(
    text: str, unicode_segments: tuple[list[Segment], dict[str, str]], tokenizer: Tokenizer
) -> None:
    segments, texts = unicode_segments
    for span in trace(text, "", segments, tokenizer, ALL).spans:
        said = text[span.start : span.end]
        assert said == said.strip() != ""
        for document in span.documents:
            at = document.occurrence
            around = document.snippet
            assert around.text[around.start : around.end] == said
            assert around.text in texts[segments[at.segment].record(at.document).id]


@pytest.fixture(scope="module")
def unicode_segments(build: Build) -> tuple[list[Segment], dict[str, str]]:
    texts = [
        "ab aé e\u0301a 👩🏽\u200d🔬 👩 日本日 b\x04a.\n1_1 ñ\U00050000\u2019s",
        "👩🏽\u200d🔬日本 🇫🇷🇫 ab\nab 'ab' 11 1.1 \u0301",
        "b日本 ñ ñé. \x04\x04 _a \u2019\u2019 a\u2019b a\u200db",
    ]
    return build({"words": texts}), {f"manual:words-{n}": text for n, text in enumerate(texts)}


def test_a_text_is_found_whole_whether_or_not_a_space_stands_before_it(
    segments: list[Segment], paragraphs: list[str], tokenizer: Tokenizer
) -> None:
    words = next(paragraph for paragraph in paragraphs[:150] if not {".", "\n"} & set(paragraph[10:60]))
    middle = words[words.index(" ", 10) + 1 : 60].rsplit(" ", 1)[0]
    for text in (middle, " " + middle, f"({middle}", f"Banana\n{middle}"):
        spans = trace(text, "", segments, tokenizer, ALL).spans
        assert middle in [text[span.start : span.end] for span in spans]


def test_owners_apart_answer_as_one_corpus_of_all_would(
    build: Build, paragraphs: list[str], tokenizer: Tokenizer
) -> None:
    apart = build({"one": paragraphs[:50], "three": paragraphs[100:150], "two": paragraphs[50:100]})
    together = build({"all": paragraphs[:50] + paragraphs[100:150] + paragraphs[50:100]})
    assert (len(apart), len(together)) == (3, 1)
    for seed in range(60):
        text = stitched(paragraphs[:150], seed)
        few, many = (trace(text, "", segments, tokenizer, ALL) for segments in (apart, together))
        assert [found[:4] for found in outcome(few, apart)] == [found[:4] for found in outcome(many, together)]
        kept = [
            [(span.first, span.last) for span in keep(find_spans(query, one, tokenizer, **loose), query, one, 3)]
            for one in (apart, together)
            for query, loose in [(read(text, tokenizer), {"min_length": 1, "max_count": 10**6})]
        ]
        assert kept[0] == kept[1]


def test_an_owner_left_out_leaves_what_an_index_without_it_would_answer(
    build: Build, paragraphs: list[str], tokenizer: Tokenizer
) -> None:
    both = build({"one": paragraphs[:60], "two": paragraphs[60:120]})
    without = build({"one": paragraphs[:60]})
    for seed in range(60):
        text = stitched(paragraphs[:120], seed)
        left = [segment for segment in both if segment.owner == "one"]
        options = Options(documents=3, seed=seed)
        assert (
            trace(text, "why", left, tokenizer, options).spans == trace(text, "why", without, tokenizer, options).spans
        )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.9))
def test_hidden_documents_leave_what_an_index_without_them_would_answer(
    seed: int, share: float, build: Build, paragraphs: list[str], tokenizer: Tokenizer
) -> None:
    dice = random.Random(seed)
    hidden = {number for number in range(60) if dice.random() < share} - {0}
    (without,) = build({"manual": [text for number, text in enumerate(paragraphs[:60]) if number not in hidden]})
    (segment,) = build({"manual": paragraphs[:60]})
    once = segment.hiding(np.array(sorted(hidden)[::2], dtype=np.int64))
    left = once.hiding(np.array(sorted(hidden), dtype=np.int64))
    renumbered = dict(enumerate(sorted(set(range(60)) - hidden)))
    assert (left.documents, left.tokens) == (without.documents, without.tokens)
    assert left.term_documents.tolist() == without.term_documents.tolist()
    for text in (stitched(paragraphs[:60], seed + number) for number in range(10)):
        ours, expected = (trace(text, "why", [one], tokenizer, ALL) for one in (left, without))
        for mine, theirs in zip(ours.spans, expected.spans, strict=True):
            assert (mine.start, mine.end, mine.count) == (theirs.start, theirs.end, theirs.count)
            scores = {(found.occurrence.document, found.score) for found in mine.documents}
            assert scores == {(renumbered[found.occurrence.document], found.score) for found in theirs.documents}


def test_no_match_runs_from_one_document_into_the_next(build: Build, tokenizer: Tokenizer) -> None:
    segments = build({"two": ["the first ends here", " and the second begins"]})
    text = "the first ends here and the second begins"
    spans = trace(text, "", segments, tokenizer, ALL).spans
    assert [text[span.start : span.end] for span in spans] == ["the first ends here", "and the second begins"]


def test_a_span_ends_at_a_full_stop_and_at_a_newline(build: Build, tokenizer: Tokenizer) -> None:
    text = "The list is sorted. It is returned\nto the caller... or not"
    spans = trace(text, "", build({"one": [text]}), tokenizer, ALL).spans
    said = [text[span.start : span.end] for span in spans]
    assert said[:3] == ["The list is sorted.", "It is returned", "to the caller..."]
    assert said[-1] == "or not"


def test_half_a_word_of_the_text_is_no_match(build: Build, tokenizer: Tokenizer) -> None:
    segments = build({"one": ["an interesting argument"]})
    text = "an interested argument"
    spans = trace(text, "", segments, tokenizer, ALL).spans
    assert [text[span.start : span.end] for span in spans] == ["an", "argument"]


@pytest.mark.parametrize("text", ["\n", "   ", " \n \t", "\u200d", "\x04"])
def test_a_text_without_a_word_has_no_spans(text: str, segments: list[Segment], tokenizer: Tokenizer) -> None:
    assert trace(text, "", segments, tokenizer, ALL).spans == []


def test_the_least_likely_spans_are_kept_and_one_for_each_twenty_tokens_by_default(
    segments: list[Segment], paragraphs: list[str], tokenizer: Tokenizer
) -> None:
    text = stitched(paragraphs[:150], 3) + stitched(paragraphs[:150], 4)
    query = read(text, tokenizer)
    spans = find_spans(query, segments, tokenizer, min_length=1, max_count=10**6)
    assert len(keep(spans, query, segments, None)) == -(-query.tokens // 20)
    (rarest,) = keep(spans, query, segments, 1)
    assert rarest.length > 1
    assert rarest in keep(spans, query, segments, 2)


def test_short_and_frequent_spans_can_be_left_out(
    segments: list[Segment], paragraphs: list[str], tokenizer: Tokenizer
) -> None:
    text = stitched(paragraphs[:150], 5)
    everything = trace(text, "", segments, tokenizer, ALL).spans
    some = trace(text, "", segments, tokenizer, Options(max_spans=99, min_length=4, max_count=2, documents=0)).spans
    assert [(span.start, span.end) for span in some] == [
        (span.start, span.end) for span in everything if span.length >= 4 and span.count <= 2
    ]


def test_the_same_seed_draws_the_same_documents_each_once(segments: list[Segment], tokenizer: Tokenizer) -> None:
    once, again, other = (
        trace("of the", "", segments, tokenizer, Options(documents=5, seed=seed)).spans[0].documents
        for seed in (1, 1, 2)
    )
    assert once == again != other
    assert len({document.occurrence.document for document in once}) == len(once) == 5


def test_every_owner_of_a_span_is_among_its_documents(
    build: Build, paragraphs: list[str], tokenizer: Tokenizer
) -> None:
    rare = "an owner of few words, one of the two"
    segments = build({"large": paragraphs[:100], "small": [rare], "none": ["nothing of it"]})
    for seed in range(20):
        (span,) = trace("of the", "", segments, tokenizer, Options(documents=2, seed=seed)).spans
        owners = {segments[document.occurrence.segment].owner for document in span.documents}
        assert owners == {"large", "small"}


def test_no_span_begins_inside_a_contraction_but_one_may_end_before_a_possessive(
    build: Build, tokenizer: Tokenizer
) -> None:
    segments = build({"one": ["they can't know what the module is worth"]})
    text = "we don't know what the module's worth"
    spans = trace(text, "", segments, tokenizer, ALL).spans
    assert [text[span.start : span.end] for span in spans] == ["know what the module", "worth"]


def test_nothing_is_found_where_nothing_is_searched(tokenizer: Tokenizer) -> None:
    assert trace("of the", "", [], tokenizer, ALL).spans == []


def test_spans_that_cover_a_text_many_times_over_are_not_all_told(build: Build, tokenizer: Tokenizer) -> None:
    segments = build({"many": ["word " * 300]})
    traced = trace("word " * 600, "", segments, tokenizer, Options(max_spans=1000))
    assert 1 < sum(span.length for span in traced.spans) / traced.tokens <= 8
    (warning,) = traced.warnings
    assert warning.endswith(f"spans cover the text more than 8 times: the {len(traced.spans)} longest are told.")
    few = trace("word " * 305, "", segments, tokenizer, Options())
    assert few.warnings == []


def test_more_documents_than_an_answer_has_room_for_are_not_looked_up(build: Build, tokenizer: Tokenizer) -> None:
    segments = build({"many": ["seal\n" + "word " * 400] * 200})
    traced = trace("seal\n" * 1000, "", segments, tokenizer, Options(max_spans=1000, documents=100, context=1000))
    assert len(traced.spans) == 1000
    matches = [document for span in traced.spans for document in span.documents]
    assert traced.tokens < len(matches) <= 2 * traced.tokens
    assert sum(len(document.snippet.text) for document in matches) < 5_000_000
    assert traced.warnings == [
        "So many spans were found that at most 6 documents of each were looked up, and 160 tokens around a match."
    ]
    few = trace("seal\n", "", segments, tokenizer, Options(documents=100, context=1000))
    assert (len(few.spans[0].documents), few.warnings) == (100, [])
