"""Traces under every kind of tokenizer are those of a search in strings."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Encoder

from services.tracing.index.infini_gram import open_shard
from services.tracing.index.segment import Segment
from services.tracing.tokenizer import Tokenizer
from services.tracing.trace.lookup import look_up_text
from services.tracing.trace.procedure import Options, bounds, trace
from services.tracing.trace.query import read
from services.tracing.trace.spans import find_spans
from tests.unit.tracing.brute import BruteCorpus
from tests.unit.tracing.conftest import builder
from tests.unit.tracing.test_infini_gram import write_shard
from tests.unit.tracing.test_trace import stitched
from tests.unit.tracing.trained import KINDS, tokenizer_of
from tests.unit.tracing.words import begins_word, ends_word

ALL = Options(max_spans=10_000, documents=100)
WORDS = [
    "ab aé e\u0301a 👩🏽\u200d🔬 👩 日本日 b\x04a.\n1_1 ñ\U00050000\u2019s a\u2581b \u2581\u2581 a <0x41> b",
    "👩🏽\u200d🔬日本 🇫🇷🇫 ab\nab 'ab' 11 1.1 \u0301 (ab b)  ab   a\u2581 b",
    "b日本 ñ ñé. \x04\x04 _a \u2019\u2019 a\u2019b a\u200db <table> aab  \n a",
]
characters = st.sampled_from("ab  .\n'\u2019é\u0301👩🏽\u200d🔬日本🇫🇷ñ\x04\U00050000_1\u2581()<")
said = st.lists(
    st.one_of(characters, st.sampled_from([text[at : at + 9] for text in WORDS for at in range(0, len(text), 3)])),
    min_size=1,
    max_size=15,
).map("".join)
delimiters = st.sampled_from([".\n", "", "日", "b)", "\u0301. "])


class Searched(NamedTuple):
    """Documents under one tokenizer: indexed, and as strings."""

    tokenizer: Tokenizer
    segments: Sequence[Segment]
    brute: BruteCorpus


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tokenizer_of(request.param, tmp_path_factory.mktemp("kinds"))


@pytest.fixture(scope="module")
def manual(kind: Tokenizer, paragraphs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Searched:
    segments = builder(kind, tmp_path_factory)({"manual": paragraphs[:100]})
    return Searched(kind, segments, BruteCorpus(paragraphs[:100], kind))


@pytest.fixture(scope="module")
def words(kind: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    return Searched(kind, builder(kind, tmp_path_factory)({"words": WORDS}), BruteCorpus(WORDS, kind))


def spans(text: str, searched: Searched, delimiters: str, whole_words: bool) -> list[tuple[int, ...]]:
    query = read(text, searched.tokenizer, delimiters, whole_words)
    found = find_spans(query, searched.segments, searched.tokenizer, min_length=1, max_count=10**6)
    return [(*bounds(query, span), span.length, span.count) for span in found]


def expected(text: str, searched: Searched, delimiters: str, whole_words: bool) -> list[tuple[int, ...]]:
    found = searched.brute.spans(text, delimiters, whole_words)
    return [(span.start, span.end, span.length, span.count) for span in found]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), delimiters=delimiters, whole_words=st.booleans())
def test_spans_and_counts_are_those_of_a_search_in_strings(
    seed: int, delimiters: str, whole_words: bool, manual: Searched, paragraphs: list[str]
) -> None:
    text = stitched(paragraphs[:120], seed)
    assert spans(text, manual, delimiters, whole_words) == expected(text, manual, delimiters, whole_words)


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(said, st.text(min_size=1)), delimiters=delimiters, whole_words=st.booleans())
@example(text="日本", delimiters="日", whole_words=False)
@example(text="b日", delimiters="日", whole_words=True)
@example(text=" a\u2019b a\u200db \u200d", delimiters=".\n", whole_words=True)
@example(text=" \u0301", delimiters="", whole_words=True)
def test_so_they_are_in_any_unicode(text: str, delimiters: str, whole_words: bool, words: Searched) -> None:
    assert spans(text, words, delimiters, whole_words) == expected(text, words, delimiters, whole_words)


@settings(max_examples=100, deadline=None)
@given(text=said)
def test_snippets_are_verbatim_in_any_unicode(text: str, words: Searched) -> None:
    for span in trace(text, "", words.segments, words.tokenizer, ALL).spans:
        assert text[span.start : span.end].strip()
        for document in span.documents:
            around, at = document.snippet, document.occurrence
            assert around.text[around.start : around.end] == text[span.start : span.end]
            assert around.text in WORDS[int(words.segments[at.segment].record(at.document).id.split("-")[-1])]


@settings(max_examples=150, deadline=None)
@given(text=said)
@pytest.mark.parametrize("kind", ["bytes"], indirect=True)
def test_in_bytes_a_span_is_any_longest_run_of_whole_words_that_stands_in_a_document(
    text: str, words: Searched
) -> None:
    edges = range(len(text) + 1)
    runs = [
        (start, end)
        for start in edges
        for end in edges[start + 1 :]
        if any(text[start:end] in document for document in WORDS)
        and not {".", "\n"} & set(text[start : end - 1])
        and begins_word(text, start)
        and ends_word(text, end)
        and not (text[start].isspace() or text[end - 1].isspace())
    ]
    longest = [one for one in runs if not any(a <= one[0] and one[1] <= b for a, b in runs if (a, b) != one)]
    assert [span[:2] for span in spans(text, words, ".\n", True)] == longest


# not where pieces go on from word to word: there a word's tokens depend on those around it
@pytest.mark.parametrize("kind", [name for name in KINDS if name != "crossing"], indirect=True)
def test_a_text_is_found_whole_whether_or_not_a_space_stands_before_it(manual: Searched, paragraphs: list[str]) -> None:
    words = next(paragraph for paragraph in paragraphs[:100] if not {".", "\n"} & set(paragraph[10:60]))
    middle = words[words.index(" ", 10) + 1 : 60].rsplit(" ", 1)[0]
    for text in (middle, " " + middle, f"({middle}", f"Banana\n{middle}"):
        found = [text[start:end] for start, end, *_ in spans(text, manual, ".\n", True)]
        assert middle in found
    assert sum(hit.times for hit in look_up_text(middle, manual.segments, manual.tokenizer)[1])


def test_documents_of_infini_gram_that_were_given_a_space_first_are_found_from_their_first_word_on(
    paragraphs: list[str], tmp_path: Path
) -> None:
    tokenizer = tokenizer_of("llama", tmp_path)
    theirs = Encoder.from_file(str(tmp_path / "llama" / "tokenizer.json"))
    write_shard(tmp_path, [theirs.encode(text, add_special_tokens=False).ids for text in paragraphs[:20]])
    segment = open_shard(tmp_path, 0, "owner", "CC0", tokenizer)
    for number, text in enumerate(paragraphs[:20]):
        first, last = segment.bounds(number)
        assert tokenizer.decode(segment.index.tokens[first:last]).decode() == " " + text
        assert sum(hit.times for hit in look_up_text(text[:50].rsplit(" ", 1)[0], [segment], tokenizer)[1])
