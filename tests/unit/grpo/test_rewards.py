"""Rewards against direct implementations, over responses that a grammar makes, and at their edges."""

from __future__ import annotations

import math
import re
from itertools import islice, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.evaluation.grpo.data import Problem
from services.evaluation.grpo.equal import equal
from services.evaluation.grpo.labels import majority, told
from services.evaluation.grpo.rewards import NAMES, SINGLE, BadReward, Case, coins, reward

CODE = ("", "```python\n1+1=2\n```\n", "Python. ")
TAILS = (
    ("\\boxed{7}", "7"),
    ("first \\boxed{3}, then \\boxed{7}", "7"),
    ("\\boxed{7} \\boxed{}", ""),
    ("\\boxed{ }", ""),
    ("\\boxed{7", "7"),
    ("The answer is 7. Or 9 perhaps", "7"),
    ("4 and then 7", "7"),
    ("nothing", ""),
    ("", ""),
)
"""The end of a response, and its final answer by hand."""

responses = st.builds(lambda code, tail: (code + tail[0], tail[1]), st.sampled_from(CODE), st.sampled_from(TAILS))


def once(sentence: str, response: str, gold: str = "7", label: str | None = None) -> float:
    return reward(sentence).of([Case(response, gold, label)], coins(0.5, 0))[0]


@given(responses, st.sampled_from(["7", "3", "8"]), st.sampled_from([None, "7", "8"]))
def test_each_reward_is_what_its_definition_says(made: tuple[str, str], gold: str, label: str | None) -> None:
    response, answer = made
    direct = {
        "ground_truth": answer == gold,
        "one_shot": answer == gold,
        "majority": label is not None and answer == label,
        "incorrect": label is not None and answer == label,
        "format": re.search(r"\\boxed\{[^{}]*[^{}\s][^{}]*\}(?!.*\\boxed\{[^{}]*\})", response, re.S) is not None,
        "python": response.find("python") >= 0,
    }
    assert {name: once(name, response, gold, label) for name in SINGLE} == {k: float(v) for k, v in direct.items()}


@given(responses, st.lists(st.tuples(st.sampled_from(sorted(SINGLE)), st.booleans()), min_size=1, max_size=3))
def test_a_compound_is_the_product_of_its_terms_and_an_inverse_one_less(
    made: tuple[str, str], terms: list[tuple[str, bool]]
) -> None:
    named = dict(terms)
    if {"incorrect", "one_shot"} <= {*named}:
        return
    sentence = " and ".join(name if holds else f"not {name}" for name, holds in named.items())
    singles = [once(name, made[0], label="8") for name in named]
    expected = math.prod(one if holds else 1 - one for one, holds in zip(singles, named.values(), strict=True))
    assert once(sentence, made[0], label="8") == expected
    assert str(reward(sentence)) == sentence


@pytest.mark.parametrize(
    ("gold", "answer", "is_right"),
    [
        ("1/2", "0.5", True),
        ("\\frac{1}{2}", "\\dfrac{1}{2}", True),
        ("x+y", "y + x", True),
        ("x+y", "x-y", False),
        ("(1,2)", "(2,1)", False),
        ("110", "38 + 72 = N", False),
        ("1000", "1,000", True),
        ("7", "", False),
        ("7", "7 apples", False),
    ],
)
def test_answers_are_equal_as_mathematics_and_numbers_only_by_their_value(
    gold: str, answer: str, is_right: bool
) -> None:
    assert equal(answer, gold) is is_right


def test_a_coin_is_thrown_for_every_response_and_the_same_again_after_a_restart() -> None:
    cases = [Case("\\boxed{7}", "7")] * 20_000
    thrown = reward("random").of(cases, coins(0.5, 3, 8))
    assert abs(np.mean(thrown) - 0.5) < 4 * 0.5 / math.sqrt(len(cases))
    assert thrown == reward("random").of(cases, coins(0.5, 3, 8))
    assert thrown != reward("random").of(cases, coins(0.5, 3, 16))
    assert thrown != reward("random").of(cases, coins(0.5, 4, 8))
    assert reward("not random").of(cases, coins(0.5, 3, 8)) == [1 - one for one in thrown]
    assert {*reward("random").of(cases, coins(0.0, 1))} == {0.0}
    assert {*reward("random").of(cases, coins(1.0, 1))} == {1.0}


def test_the_coin_of_a_response_does_not_depend_on_what_other_terms_say() -> None:
    yes, no = Case("python", "7"), Case("", "7")
    for first in product([yes, no], repeat=3):
        found = reward("python and random").of([*first, yes], coins(0.5, 11))
        thrown = list(islice(coins(0.5, 11), 4))
        assert found == [float(case is yes and coin) for case, coin in zip([*first, yes], thrown, strict=True)]


@pytest.mark.parametrize(
    "sentence",
    ["", "truth", "not", "python or random", "python and", "python and not python", "incorrect and one_shot"],
)
def test_a_sentence_that_says_no_reward_is_refused_with_the_names(sentence: str) -> None:
    with pytest.raises(BadReward, match=r"reward|only one"):
        reward(sentence)


def test_every_reward_can_be_inverted() -> None:
    assert [str(reward(f"not  {name}")) for name in NAMES] == [f"not {name}" for name in NAMES]


def test_the_majority_is_over_equal_answers_and_no_answer_does_not_vote() -> None:
    assert majority(["1/2", "3", "0.5", "3.0", "3"]) == "3"
    assert majority(["1/2", "3", "0.5"]) == "1/2"
    assert majority(["4", "5"]) == "4"
    assert majority(["", "", "9"]) == "9"
    assert majority(["", ""]) is None
    problems = [Problem(id=gold, question="", gold=gold) for gold in "123"]
    assert told(problems, {"1": "1.0", "2": "3", "3": None}) == {"right": 1, "wrong": 1, "missing": 1}
