"""What was just read."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tracing.trace.copied import Read
from tests.unit.tracing.words import ends_word


@pytest.mark.parametrize(
    ("words", "text", "stands"),
    [
        ("the cat", "See the cat run.", True),
        ("the cat", "the cat", True),
        ("the cat", "the catalogue, and the cat", True),
        ("the cat", "the catalogue", False),
        ("the cat", "bathe the  cat", False),
        ("he cat", "the cat", False),
        ("the cat", "", False),
        ("the cat", "The cat", False),
        ("\u4eac", "\u6771\u4eac", True),
        ("e", "e\u0301", False),
        ("aa", "aaa aa", True),
    ],
)
def test_words_stand_in_a_text_as_whole_words(words: str, text: str, stands: bool) -> None:
    assert Read(text).has(words) is stands


def test_the_last_word_may_have_been_cut_off_but_not_the_first() -> None:
    read = Read("they agreed to swear fealty")
    assert not read.has("agreed to swear fe")
    assert read.has("agreed to swear fe", cut=True)
    assert not read.has("greed to swear fe", cut=True)


LETTERS = st.text(st.sampled_from("ab .'\u0301\u65e5\u200d_"), max_size=12)


@settings(max_examples=300, deadline=None)
@given(words=LETTERS.filter(bool), text=LETTERS, cut=st.booleans())
def test_words_stand_where_no_word_or_character_is_split(words: str, text: str, cut: bool) -> None:
    places = [at for at in range(len(text)) if text.startswith(words, at)]
    whole = [at for at in places if ends_word(text, at) and (cut or ends_word(text, at + len(words)))]
    assert Read(text).has(words, cut=cut) is bool(whole)


def test_a_text_that_repeats_a_part_of_a_word_is_not_looked_through_place_by_place() -> None:
    read = Read("a" * 100_000)
    began = time.process_time()
    assert not any(read.has("a" * length) for length in range(1, 1000))
    assert time.process_time() - began < 2
