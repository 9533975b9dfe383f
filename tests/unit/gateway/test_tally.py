"""The early stop: whatever the samples to come would have said, the answer is the one that it stopped at."""

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pipeline.aggregate import Rule, aggregate
from gateway.pipeline.short_answer import ShortAnswer, extract
from gateway.pipeline.tally import Tally

QUESTION = "Where?"
ANSWERS = ("Paris", "Paris, France", "France", "London", "7", "8", "")
SLOTS = (0.5, 1.5, 2.5, 3.5)
"""Confidences of samples to come, below, between and above those of 1, 2 and 3."""


def decided(texts: Sequence[str], confidences: Sequence[float], total: int, rule: Rule) -> bool:
    tally = Tally(QUESTION, total, rule)
    for number, (text, confidence) in enumerate(zip(texts, confidences, strict=True)):
        tally.add(number, text, confidence)
    return tally.decided()


def leading(texts: Sequence[str], confidences: Sequence[float], rule: Rule) -> ShortAnswer:
    vote = aggregate(texts, confidences, QUESTION, rule)
    return ShortAnswer.of(extract(texts[vote.winner]), QUESTION)


@settings(max_examples=150)
@given(
    known=st.lists(st.tuples(st.sampled_from(ANSWERS), st.sampled_from([1.0, 2.0, 3.0])), min_size=1, max_size=5),
    left=st.integers(0, 2),
    rule=st.sampled_from(["majority", "confidence"]),
)
def test_no_completion_of_a_decided_vote_has_another_winner(
    known: list[tuple[str, float]], left: int, rule: Rule
) -> None:
    texts, confidences = [text for text, _ in known], [confidence for _, confidence in known]
    if not decided(texts, confidences, len(texts) + left, rule):
        return
    winner = leading(texts, confidences, rule)
    for coming in product(product(ANSWERS, SLOTS), repeat=left):
        later = [*texts, *(text for text, _ in coming)]
        vote = aggregate(later, [*confidences, *(confidence for _, confidence in coming)], QUESTION, rule)
        won = vote.votes[vote.winner]
        same = [
            vote.votes[place] for place, text in enumerate(texts) if ShortAnswer.of(extract(text), QUESTION) == winner
        ]
        # its class, in which the very words of another may be the most certain
        assert same
        assert max(same) == won


@pytest.mark.parametrize(
    ("texts", "total", "over"),
    [
        (["7", "7", "7"], 5, True),
        (["7", "7"], 5, False),
        (["7", "8", "7", "7"], 6, False),
        (["7", "8", "7", "7", "7"], 7, True),
        (["7", "8"], 2, False),
        (["7"], 1, True),
        (["", "", ""], 4, False),
    ],
)
def test_a_majority_is_decided_when_the_lead_is_more_than_what_is_to_come(
    texts: list[str], total: int, over: bool
) -> None:
    assert decided(texts, [1.0] * len(texts), total, "majority") is over


def test_a_vote_by_confidence_is_decided_later_because_those_to_come_may_be_more_certain() -> None:
    certain = [3.0, 2.0, 1.0]
    assert decided(["7", "7", "7"], certain, 5, "majority")
    assert not decided(["7", "7", "7"], certain, 5, "confidence")
    assert decided(["7", "7", "7", "7"], [4.0, *certain], 5, "confidence")


def test_between_equal_confidences_their_order_decides_and_not_which_ended_first() -> None:
    tally = Tally(QUESTION, 7, "confidence")
    for number in (2, 3, 4, 5, 0, 1):
        tally.add(number, "7" if number > 1 else "8", 1.0)
    assert not tally.decided()
    # because of this one
    texts = ["8", "8", "7", "7", "7", "7", "8"]
    vote = aggregate(texts, [1.0] * 6 + [2.0], QUESTION, "confidence")
    assert texts[vote.winner] == "8"
