"""ROUGE-L against Lin's formula computed slowly, and what it is cut to."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.evaluation.metrics.copying import TOKENS, rouge_l

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
