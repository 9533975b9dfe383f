"""CopyBench's measures, each against its definition computed slowly, and what they do not count."""

import re
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.evaluation.metrics.copying import (
    TOKENS,
    calibrate,
    characters_named,
    events_told,
    rouge_l,
    windows,
)

# words that are their own stems
WORDS = ["cat", "dog", "sun", "sea", "ant", "42"]
texts = st.lists(st.sampled_from(WORDS), max_size=70)


@given(texts, texts)
def test_it_is_the_f_measure_of_the_longest_common_subsequence(said: list[str], truth: list[str]) -> None:
    one, other = said[:TOKENS], truth[:TOKENS]
    common = longest(tuple(one), tuple(other))
    expected = 2 * common / (len(one) + len(other)) if common else 0.0
    assert rouge_l(" ".join(said), " ".join(truth)) == pytest.approx(expected)


@cache
def longest(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """By the definition: a row for each token of one."""
    row = [0] * (len(other) + 1)
    for token in one:
        before, row = row, [0] * (len(other) + 1)
        for at, word in enumerate(other, start=1):
            row[at] = before[at - 1] + 1 if word == token else max(before[at], row[at - 1])
    return row[-1]


def test_case_punctuation_and_endings_do_not_count() -> None:
    assert rouge_l("The dogs, RUNNING!", "the dog runs") == 1.0


def test_what_comes_after_fifty_tokens_does_not_count() -> None:
    assert rouge_l("cat " * 50 + "dog " * 50, "cat " * 50 + "sun " * 50) == 1.0


def test_who_says_nothing_has_copied_nothing() -> None:
    assert rouge_l("", "the cat") == rouge_l("the cat", "") == rouge_l("...", "...") == 0.0


NAMES = ["Mock Turtle", "Turtle", "Mock", "King", "Ann-Marie", "ann"]
said = st.lists(st.sampled_from(["mock", "Turtle", "KING's", "turtles", "Ann", "Marie", ",", "--", "sea"])).map(
    " ".join
)


@given(st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2), max_size=4), said, said)
def test_a_character_is_counted_if_an_alias_stands_in_the_text_and_none_in_the_input(
    characters: list[list[str]], text: str, given_text: str
) -> None:
    expected = 0
    for aliases in characters:
        here = any(stands(slowly(alias), slowly(text)) for alias in aliases)
        there = any(stands(slowly(alias), slowly(given_text)) for alias in aliases)
        expected += int(here and not there)
    assert characters_named(characters, text, given_text) == expected


def slowly(text: str) -> list[str]:
    """Letter by letter: what is neither letter nor digit ends a token."""
    tokens = [""]
    for letter in text.lower():
        if letter.isalnum():
            tokens[-1] += letter
        else:
            tokens.append("")
    return [token for token in tokens if token]


def stands(run: list[str], tokens: list[str]) -> bool:
    return any(tokens[at : at + len(run)] == run for at in range(len(tokens)))


def test_a_part_of_a_word_is_no_name_and_case_does_not_count() -> None:
    assert characters_named([["Ann"], ["Mock Turtle"]], "Annie saw the mock\n turtle's shell", "") == 1


def test_an_alias_without_a_letter_names_nobody() -> None:
    assert characters_named([["..."]], "He said ... and left", "") == 0


@given(st.lists(st.sampled_from(["cat", "dog.", "(sea)", "it's", "_", "\n"]), max_size=400).map(" ".join))
def test_windows_have_128_tokens_each_and_are_the_whole_text(text: str) -> None:
    found = windows(text)
    counts = [len([one for one in re.split(r"(\W)|(_)", window) if one and not one.isspace()]) for window in found]
    assert all(count == 128 for count in counts[:-1])
    assert all(0 < count <= 128 for count in counts[-1:])
    assert "".join("".join(found).split()) == "".join(text.split())


scores = st.lists(st.floats(-5, 5), min_size=1, max_size=8)


@given(st.integers(0, 4), st.integers(1, 4), st.data())
def test_an_event_is_told_if_any_window_reaches_the_threshold(rows: int, columns: int, data: st.DataObject) -> None:
    likely = [[data.draw(st.floats(-2, 2)) for _ in range(columns)] for _ in range(rows)]
    told = {event for window in likely for event, score in enumerate(window) if score >= 0.5}
    assert events_told(likely, 0.5) == len(told)


@given(scores, scores)
def test_no_threshold_parts_the_known_pairs_better(entailed: list[float], unrelated: list[float]) -> None:
    def accuracy(threshold: float) -> float:
        right = sum(one >= threshold for one in entailed) / len(entailed)
        return (right + sum(one < threshold for one in unrelated) / len(unrelated)) / 2

    found = calibrate(entailed, unrelated)
    assert found.accuracy == pytest.approx(accuracy(found.threshold))
    assert found.accuracy >= max(map(accuracy, [*entailed, *unrelated, 6.0])) - 1e-9


def test_the_threshold_stands_where_there_is_most_room_and_needs_both_kinds() -> None:
    assert calibrate([3.0, 4.0], [0.0, 1.0]).threshold == 2.0
    with pytest.raises(ValueError, match="both kinds"):
        calibrate([], [1.0])
