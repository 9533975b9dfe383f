"""Which choice an answer names."""

import pytest

from services.evaluation.suites.rag.answers import letter


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("B", 1),
        ("B. Paris", 1),
        ("(C) Rome", 2),
        ("The answer is D.", 3),
        ("The correct answer is: **A**", 0),
        ("First I thought B, but the answer is C", 2),
        ("It must be (B).", 1),
        ("A cat sat on the mat.", None),
        ("B or C.", None),
        ("The answer is E", None),
        ("paris", None),
        ("", None),
        ("The answer is a mammal, so I say B.", 1),
        ("the answer is (c)", 2),
        ("Answer: d", 3),
        ("The answer is b.", 1),
    ],
)
def test_the_letter_of_an_answer_among_four(text: str, place: int | None) -> None:
    assert letter(text, 4) == place


@pytest.mark.parametrize(("text", "place"), [("I am not sure.", None), ("I think that it is C", 2), ("I", 8)])
def test_the_letter_of_an_answer_among_ten(text: str, place: int | None) -> None:
    assert letter(text, 10) == place
