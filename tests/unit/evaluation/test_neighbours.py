"""Neighbours of a text: only whole words are replaced, by other words, as many times as asked, by the seed."""

import pytest

from services.evaluation.suites.membership.neighbours import SHARE, Place, neighbours, places

TEXT = "The heart is a muscle that pumps blood."
TOKENS = ["The", " heart", " is", " a", " mus", "cle", " that", " pumps", " blood", "."]
OFFSETS = [sum(map(len, TOKENS[:place])) for place in range(len(TOKENS))]
TOPS = [
    None,
    {" heart": -1.0, " liver": -2.0, " Heart": -2.5, "ache": -3.0},
    {" is": -0.1, " was": -1.0, ",": -2.0},
    {" a": -0.1, " the": -2.0},
    {" mus": -0.1, " strong": -2.0},
    {"cle": -0.1},
    {" that": -0.1, " which": -1.0},
    {" pumps": -0.1},
    {" blood": -0.1, " air": -3.0, " \N{REPLACEMENT CHARACTER}": -4.0},
    {".": -0.1, " and": -2.0},
]


def test_words_that_are_one_token_are_replaced_by_other_words() -> None:
    found = places(TEXT, TOKENS, TOPS, OFFSETS)
    assert [(place.word, place.others) for place in found] == [
        (" heart", (" liver",)),
        (" is", (" was",)),
        (" a", (" the",)),
        (" that", (" which",)),
        (" blood", (" air",)),
    ]
    assert all(TEXT[place.start :].startswith(place.word) for place in found)


def test_a_token_that_is_not_the_text_at_its_place_is_left_alone() -> None:
    assert places("naïve x", ["na", " ve", " x"], [None, {" oh": -1.0}, {" y": -1.0}], [0, 2, 5]) == [
        Place(5, " x", (" y",))
    ]
    with pytest.raises(ValueError, match="zip"):
        places(TEXT, TOKENS, TOPS[:-1], OFFSETS)


def test_as_many_neighbours_as_asked_each_with_a_share_of_the_words_changed() -> None:
    words = [f"word{n}" for n in range(100)]
    text = " ".join(words)
    starts = [len(" ".join(words[:n])) for n in range(1, 100)]
    found = [Place(start, f" {word}", (" other", " thing")) for start, word in zip(starts, words[1:], strict=True)]
    made = neighbours(text, found, 25, seed=3)
    assert len(made) == 25
    assert len({*made}) == 25
    for one in made:
        changed = [new for new, old in zip(one.split(), words, strict=True) if new != old]
        assert len(changed) == round(SHARE * 99)
        assert {*changed} <= {"other", "thing"}
    assert neighbours(text, found, 25, seed=3) == made
    assert neighbours(text, found, 25, seed=4) != made


def test_a_text_without_such_a_word_has_no_neighbour() -> None:
    assert neighbours("123 456", [], 25, seed=0) == []
