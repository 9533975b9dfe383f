"""What was just read."""

import pytest

from services.tracing.trace.copied import Read


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
