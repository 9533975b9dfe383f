"""Final answers of worked solutions, checked against math-verify where both can read them."""

import pytest
from math_verify import parse, verify

from services.evaluation.metrics.maths import final_answer, last_box, same


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("16 - 3 - 4 = 9 eggs. 9 * 2 = 18.\n#### 18", "18"),
        ("So the answer is $1,234.50 in all.", "$1,234.50"),
        ("The answer is 5 + 91 = 96.", "96"),
        ("The answer is 2. No: the answer is 3.", "3"),
        (r"Thus \boxed{\frac{1}{2}} and so \boxed{\sqrt{2}}.", r"\sqrt{2}"),
        ("12 apples less 5 are 7", "7"),
        ("It fell to -4 degrees", "-4"),
        ("10-3", "3"),
        ("The answer is: yes.", "yes"),
        (r"So \boxed{12}. Let me check: \boxed{1", "12"),
        ("The answer is .5", ".5"),
        ("I do not know.", ""),
        ("", ""),
    ],
)
def test_the_final_answer_of_a_text(text: str, final: str) -> None:
    assert final_answer(text) == final


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("18", "18.0", True),
        ("1,000", "1000", True),
        ("$5", "5", True),
        ("50%", "50", True),
        (r"\frac{1}{2}", "0.5", True),
        (r"\dfrac{3}{4}", "3/4", True),
        (r"5\text{ cm}", "5", True),
        ("-4", "4", False),
        (".5", "0.5", True),
        ("1,2", "12", False),
        ("1,000,000", "1000000", True),
        (r"2\frac{1}{2}", "10.5", False),
        ("18", "180", False),
        (r"\sqrt{2}", r"\sqrt{3}", False),
        ("1/0", "1/0", True),
    ],
)
def test_equal_answers_are_equal_to_math_verify_too(one: str, other: str, equal: bool) -> None:
    assert same(one, other) is same(other, one) is equal
    if "/0" not in one and "$" not in one:
        assert verify(parse(f"${other}$"), parse(f"${one}$")) is equal


def test_an_empty_answer_is_never_the_gold_one() -> None:
    assert not same("", "")
    assert not same(" ", "0")


def test_the_last_box_has_its_braces_matched() -> None:
    assert last_box(r"\boxed{1} \boxed{\frac{1}{\sqrt{2}}} end") == r"\frac{1}{\sqrt{2}}"
    assert last_box(r"\boxed{open") is None
    assert last_box(r"\boxed{2} and \boxed{open") == "2"
    assert last_box("none") is None
