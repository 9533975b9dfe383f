"""Places of a text, all at once and one at a time."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.tracing.trace.characters import Characters, codes
from tests.unit.tracing.words import begins_word, ends_word, joined

text = st.one_of(st.text(), st.text(st.sampled_from("ab '\u2019_1\u0301\u200d👩🏽日ก.\n")))


@given(text=text)
def test_words_go_on_across_the_places_where_two_characters_are_of_one(text: str) -> None:
    characters = Characters(codes(text))
    inner = [joined(before, after) for before, after in pairwise(text)]
    assert characters.joined[: len(text) + 1].tolist()[1 : len(text)] == inner
    assert characters.spaces.tolist() == [character.isspace() for character in text]
    begins = [not (characters.joined[at] or characters.contracted[at]) for at in range(len(text))]
    assert begins[1:] == [begins_word(text, at) for at in range(1, len(text))]


@given(text=st.text(st.sampled_from("ab '_1.\n")))
def test_in_english_words_are_those_of_a_regular_expression(text: str) -> None:
    def within(pattern: str, at: int) -> bool:
        return any(match.start() < at < match.end() for match in re.finditer(pattern, text))

    for at in range(len(text) + 1):
        assert begins_word(text, at) != within(r"\w+(?:'\w+)*", at)
        assert ends_word(text, at) != within(r"\w+", at)
