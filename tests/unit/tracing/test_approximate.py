"""Approximate matches: on paragraphs of CPython's manual, changed in ways that are known."""

import random
import shutil
import time
import unicodedata
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.tracing.approximate.index import BadWords, WordIndex
from services.tracing.approximate.match import Approximate, approximate
from services.tracing.approximate.opened import WordIndexes
from services.tracing.approximate.parts import open_parts, parts, unfinished
from services.tracing.approximate.words import read
from services.tracing.approximate.writing import write_words
from services.tracing.index.segment import Segment
from tests.unit.tracing.conftest import Build

Pair = tuple[Segment, WordIndex]


@pytest.fixture(scope="module")
def indexed(build: Build) -> Callable[[list[str]], Pair]:
    def indexed(texts: list[str]) -> Pair:
        segment, (index,) = indexed_in_parts(build, texts, 1 << 25)
        return segment, index

    return indexed


def indexed_in_parts(build: Build, texts: list[str], tokens: int) -> tuple[Segment, list[WordIndex]]:
    """A segment of texts, and the indexes of its words, each of at most so many tokens."""
    (segment,) = build({"manual": texts})
    for part in parts(segment, tokens):
        write_words(part.folder, segment, part.first, part.last)
    return segment, open_parts(segment.folder, segment.held)


@pytest.fixture(scope="module")
def manual(indexed: Callable[[list[str]], Pair], paragraphs: list[str]) -> Pair:
    return indexed(paragraphs[:150])


def search(text: str, *pairs: Pair, min_words: int = 6, similarity: float = 0.7) -> list[Approximate]:
    return approximate(text, pairs, min_words=min_words, similarity=similarity, most=100)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Don't STOP", "dont stop"),
        ("don\u2019t stop!", "don't \u2014 stop"),
        ("\ufb01ne \uff21", "fine a"),
        ("cafe\u0301", "caf\u00e9"),
        ("stra\u00dfe", "STRASSE"),
        ("well-known, (here)", "well known here"),
        ("\u6771\u4eac", "\u6771 \u4eac"),
    ],
)
def test_words_are_the_same_but_for_case_punctuation_and_spelling_in_unicode(one: str, other: str) -> None:
    assert read(one).keys.tolist() == read(other).keys.tolist()


def test_different_words_are_different_and_no_words_are_none() -> None:
    assert len(set(read("one two 2 two_ tow \u4eac \u6771").keys.tolist())) == 6
    assert read(" ... \n").keys.size == 0


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=60))
def test_words_lie_where_they_say_in_any_text(text: str) -> None:
    words = read(text)
    last = 0
    for key, start, end in zip(words.keys.tolist(), words.starts.tolist(), words.ends.tolist(), strict=True):
        assert last <= start < end <= len(text)
        assert read(text[start:end]).keys.tolist() == [key]
        assert not any(unicodedata.category(one)[0] in "LN" for one in text[last:start])
        last = end
    assert not any(unicodedata.category(one)[0] in "LN" for one in text[last:])


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_words_of_a_document_are_found_in_its_text_as_written(
    data: st.DataObject, indexed: Callable[[list[str]], Pair]
) -> None:
    alphabet = st.sampled_from(["word", "caf\u00e9", "\U0001f600", " ", ", ", "\n", "\u6771", "it's", "x"])
    texts = data.draw(st.lists(st.lists(alphabet, min_size=1, max_size=150).map("".join), min_size=1, max_size=3))
    texts = [text for text in texts if read(text).keys.size]
    if not texts:
        return
    segment, index = indexed(texts)
    document = data.draw(st.integers(0, len(texts) - 1))
    words = read(texts[document])
    first = data.draw(st.integers(0, words.keys.size - 1))
    last = data.draw(st.integers(first + 1, words.keys.size))
    text, found = index.text(segment, document, first, last)
    assert text == texts[document][words.starts[first] : words.ends[last - 1]]
    assert found.keys.tolist() == words.keys[first:last].tolist()
    assert index.bounds(document)[1] - index.bounds(document)[0] == words.keys.size


def changed(text: str, dice: random.Random, every: int) -> str:
    """Another case, other punctuation, and about one word in `every` another, dropped or put in."""
    said = []
    for word in text.split():
        if dice.random() < 1 / every:
            said += dice.choice([["zebra"], [], ["zebra", word]])
        else:
            said.append(dice.choice([word, word.upper(), word + ","]))
    return " ".join(said)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_changed_paragraph_is_found_and_every_difference_marked(
    seed: int, manual: Pair, paragraphs: list[str]
) -> None:
    dice = random.Random(seed)
    segment, _ = manual
    number = dice.randrange(150)
    text = "A preface of mine. " + changed(paragraphs[number], dice, 15) + " And an end."
    for match in search(text, manual):
        document = segment.text(match.document)
        assert match.there in document
        ours, theirs = read(text[match.start : match.end]), read(match.there)
        assert read(document).keys[match.offset : match.offset + theirs.keys.size].tolist() == theirs.keys.tolist()
        left, there, equal = match.start, 0, 0
        for one in [*match.differences, None]:
            end, there_end = (one.start, one.there_start) if one else (match.end, len(match.there))
            same = read(text[left:end]).keys.tolist()
            assert same == read(match.there[there:there_end]).keys.tolist()
            equal += len(same)
            if one:
                left, there = one.end, one.there_end
        # within a gap a word alone may be the same, which is no difference, and does not count
        total = int(ours.keys.size + theirs.keys.size)
        assert match.similarity * total / 2 == pytest.approx(equal, abs=0.1 * total)
        assert match.similarity * total / 2 <= equal + 0.5
    if read(paragraphs[number]).keys.size > 40:
        longest = max(search(text, manual), key=lambda match: match.end - match.start, default=None)
        if longest is not None:
            assert longest.similarity >= 0.7


def test_a_copy_with_other_case_and_punctuation_has_no_differences(manual: Pair, paragraphs: list[str]) -> None:
    text = " ".join(paragraphs[85].upper().replace(".", " ;").split())
    (match,) = search(text, manual)
    assert (match.similarity, match.differences) == (1.0, [])
    assert manual[0].text(match.document) == paragraphs[85]
    assert read(text[match.start : match.end]).keys.tolist() == read(paragraphs[85]).keys.tolist()


def test_one_word_in_the_middle_is_the_one_difference(indexed: Callable[[list[str]], Pair]) -> None:
    pair = indexed(["The quick brown fox jumps over the lazy dog and is gone."])
    text = "They say the quick brown fox leaps over the lazy dog and is gone!"
    (match,) = search(text, pair)
    (one,) = match.differences
    assert text[one.start : one.end] == "leaps"
    assert match.there[one.there_start : one.there_end] == "jumps"
    assert match.there == "The quick brown fox jumps over the lazy dog and is gone"
    assert match.similarity == pytest.approx(2 * 11 / 24)


def test_a_text_that_repeats_a_word_is_compared_in_a_time_that_grows_with_its_length(
    indexed: Callable[[list[str]], Pair],
) -> None:
    pair = indexed(["a " * 5000])
    text = " ".join("zebra" if number % 10 == 5 else "a" for number in range(2000))
    search("a zebra a a a a a", pair)
    began = time.process_time()
    (match,) = search(text, pair)
    assert time.process_time() - began < 3
    assert (match.start, match.end, len(match.differences)) == (0, len(text), 200)
    assert {text[one.start : one.end] for one in match.differences} == {"zebra"}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.1, 0.9))
def test_hidden_documents_are_as_if_they_were_not_there(
    seed: int, share: float, indexed: Callable[[list[str]], Pair], paragraphs: list[str]
) -> None:
    dice = random.Random(seed)
    texts = paragraphs[:40]
    hidden = [number for number in range(40) if dice.random() < share]
    shown = [text for number, text in enumerate(texts) if number not in hidden]
    if not shown:
        return
    segment, index = indexed(texts)
    gone = np.array(hidden, dtype=np.int64)
    left = (segment.hiding(gone), index.hiding(gone[::2]).hiding(gone))
    for _ in range(5):
        text = changed(dice.choice(texts), dice, 10)
        ours, expected = search(text, left), search(text, indexed(shown))
        assert [(one.start, one.end, one.similarity) for one in ours] == [
            (one.start, one.end, one.similarity) for one in expected
        ]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), tokens=st.integers(200, 3000))
@example(seed=6302, tokens=1)
@example(seed=11, tokens=40)
def test_parts_find_what_one_index_does(
    seed: int, tokens: int, build: Build, manual: Pair, paragraphs: list[str]
) -> None:
    """Or more: where a run of words is a part of a longer one, one index looks only where the longer one stands."""
    dice = random.Random(seed)
    segment, indexes = indexed_in_parts(build, paragraphs[:150], tokens)
    assert len(indexes) > 1 or tokens > 2000
    hidden = np.array([number for number in range(150) if dice.random() < 0.2], dtype=np.int64)
    one = (manual[0].hiding(hidden), manual[1].hiding(hidden))
    several = [(segment.hiding(hidden), index.hiding(hidden)) for index in indexes]
    text = changed(dice.choice(paragraphs[:150]), dice, 12)
    found, whole = search(text, *several), search(text, one)
    same = [told(match) for match in found]
    lost = [match for match in whole if told(match) not in same and not any(longer(one, match) for one in found)]
    assert lost == []


def longer(one: Approximate, other: Approximate) -> bool:
    """Whether a match takes in another and more."""
    return one.start <= other.start and other.end <= one.end and (one.start, one.end) != (other.start, other.end)


def told(match: Approximate) -> tuple[object, ...]:
    """All that a match says but for which of the indexes it is from."""
    return tuple(value for name, value in vars(match).items() if name != "segment")


def test_documents_without_words_are_a_part_like_others_and_no_index(build: Build) -> None:
    texts = ["...", "\u2014 !", "a word at last", "?"]
    segment, indexes = indexed_in_parts(build, texts, 1)
    assert [(index.begin, index.end) for index in indexes] == [(2, 3)]
    assert unfinished(parts(segment, 1)) == []
    segment, indexes = indexed_in_parts(build, texts[:2], 1 << 25)
    assert indexes == []
    assert WordIndexes().of([segment]) == ([], [])


def test_a_damaged_index_is_named_and_made_again(build: Build, paragraphs: list[str]) -> None:
    segment, _ = indexed_in_parts(build, paragraphs[:30], 500)
    planned = parts(segment, 500)
    victim = planned[1]
    path = victim.folder / "lexicon.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadWords, match=rf"{victim.folder.name}: lexicon\.bin is missing, cut short or altered"):
        open_parts(segment.folder, segment.held)
    assert unfinished(planned) == [victim]
    (victim.folder / "manifest.json").unlink()
    with pytest.raises(BadWords, match="no usable manifest"):
        open_parts(segment.folder, segment.held)
    shutil.rmtree(victim.folder)
    with pytest.raises(BadWords, match=f"no index of the words of its documents from {victim.first} on"):
        open_parts(segment.folder, segment.held)
    _, (warning,) = WordIndexes().of([segment])
    assert "candor data build" in warning
    assert unfinished(planned) == [victim]
    write_words(victim.folder, segment, victim.first, victim.last)
    assert sum(index.end - index.begin for index in open_parts(segment.folder, segment.held)) == 30


def test_another_plan_replaces_the_parts_of_the_one_before(build: Build, paragraphs: list[str]) -> None:
    segment, before = indexed_in_parts(build, paragraphs[:30], 500)
    (segment.folder / "words" / "words.bin").write_bytes(b"of an index in one part")
    planned = parts(segment)
    assert unfinished(planned) == planned
    assert list((segment.folder / "words").iterdir()) == []
    assert len(before) > 1


def test_a_deletion_does_not_have_the_files_read_again(build: Build, paragraphs: list[str]) -> None:
    segment, _ = indexed_in_parts(build, paragraphs[:20], 1 << 25)
    indexes = WordIndexes()
    ((number, before),), missing = indexes.of([segment])
    assert (number, missing) == (0, [])
    path = parts(segment)[0].folder / "lexicon.bin"
    path.rename(path.with_name("moved"))
    ((_, after),), missing = indexes.of([segment.hiding(np.array([3], dtype=np.int64))])
    assert missing == []
    assert (before.hidden.tolist(), after.hidden.tolist()) == ([], [3])
    assert WordIndexes().of([segment])[1]
