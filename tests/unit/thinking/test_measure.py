"""What counts as an answer, and how ways are compared."""

import pytest
from scipy.stats import binom

from services.model.thinking.measure import Accuracy, Answered, compare, said
from services.model.thinking.problems import Problem

PROBLEM = Problem("sum", "What is 1 + 2 + 3?", ("1 + 2 = 3", "3 + 3 = 6"), 6)


def answers(*right: bool) -> list[Answered]:
    return [Answered(PROBLEM, f"The answer is \\boxed{{{6 if one else 7}}}.", 10, "stop") for one in right]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("<think>\n1 + 2 = 3\n</think>\n\nThe answer is \\boxed{6}.", 6),
        ("<think>\n1 + 2 = 3\n</think>\n\nThe answer is 6.", 6),
        ("<think>\n1 + 2 = 3\n3 + 3 = 6", None),
        ("\\boxed{4} or rather \\boxed{ 6 }", 6),
        ("I do not know.", None),
    ],
)
def test_the_answer_is_the_last_box_or_number_after_the_thinking(text: str, number: int | None) -> None:
    assert said(text) == number


def test_the_interval_is_wilsons() -> None:
    measured = Accuracy.of(answers(*[True] * 15, *[False] * 5))
    # the closed form, n = 20, p = 0.75, z = 1.959964
    z = 1.959963984540054
    middle, half = (0.75 + z**2 / 40) / (1 + z**2 / 20), z * (0.75 * 0.25 / 20 + z**2 / 1600) ** 0.5 / (1 + z**2 / 20)
    assert (measured.right, measured.problems) == (15, 20)
    assert (measured.low, measured.high) == pytest.approx((middle - half, middle + half))


def test_the_comparison_is_mcnemars_over_the_same_problems() -> None:
    found = compare(answers(*[True] * 9, False, True), answers(*[False] * 8, True, True, True))
    assert (found.only_first, found.only_second) == (8, 1)
    assert found.p == pytest.approx(2 * binom.cdf(1, 9, 0.5))
