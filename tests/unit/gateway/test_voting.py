"""Short answers: found, compared, clustered, voted on."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.pipeline.aggregate import aggregate, classes
from gateway.pipeline.short_answer import ShortAnswer, extract, is_final, normalise

QUESTION = "What is the capital of France?"


@pytest.mark.parametrize(
    ("sample", "short"),
    [
        ("Paris", "Paris"),
        ("Paris. It lies on the Seine.", "Paris."),
        ("Let me see.\nThe final answer is Paris.", "Paris."),
        ("It could be Lyon.\n\nFinal answer: Paris", "Paris"),
        (r"Adding gives \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        ("Dr. J. Smith found it. Others followed.", "Dr. J. Smith found it."),
        ("", ""),
    ],
)
def test_the_short_answer_is_the_box_else_what_follows_the_cue_else_the_first_sentence(sample: str, short: str) -> None:
    assert extract(sample) == short


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Eiffel-Tower!", ["eiffel", "tower"]),
        ("1,000.50 km", ["1000.5", "km"]),
        ("two million people", ["2000000", "people"]),
        ("“isn't” it", ["is", "not", "it"]),
    ],
)
def test_answers_are_normalised_as_squad_does_and_numbers_by_value(text: str, words: list[str]) -> None:
    assert normalise(text) == words


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Paris", "The capital of France is Paris.", True),
        ("Paris", "paris!", True),
        ("1,500", "1500.0", True),
        ("five", "5", True),
        ("1945", "1946", False),
        ("It is Paris", "It is not Paris", False),
        ("Lyon", "The capital of France is Paris.", False),
        ("France", "The capital of France is Paris.", False),
        ("the river Seine bank", "bank of the Seine", True),
        ("Paris is the capital, known for its bridges and its long cold winters", "Paris, a city on the Seine", True),
        ("", "Paris", False),
    ],
)
def test_two_answers_are_the_same_when_one_holds_the_other_or_most_words_agree(
    one: str, other: str, same: bool
) -> None:
    first, second = ShortAnswer.of(one, QUESTION), ShortAnswer.of(other, QUESTION)
    assert first.same_as(second) is same
    assert second.same_as(first) is same


@given(st.text(max_size=60) | st.text(alphabet="019.,- ", max_size=20))
@example("0.0.0")
def test_any_text_is_normalised_stably(text: str) -> None:
    assert normalise(" ".join(normalise(text))) == normalise(text)


@given(st.lists(st.sampled_from(["Paris", "Lyon", "in Paris", "5", "five", "6", "", "not Paris"]), max_size=10))
def test_classes_share_no_answer_lose_none_and_hold_only_what_is_the_same(texts: list[str]) -> None:
    answers = [ShortAnswer.of(text, QUESTION) for text in texts]
    found = classes(answers)
    assert sorted(index for group in found for index in group) == list(range(len(texts)))
    assert all(answers[one].same_as(answers[other]) for group in found for one in group for other in group)


def test_confidence_votes_by_borda_with_the_square_root_of_the_rank() -> None:
    vote = aggregate(["Lyon", "Paris", "It is Paris."], [3.0, 2.0, 1.0], QUESTION, "confidence")
    assert vote.votes == pytest.approx((math.sqrt(3), math.sqrt(2) + 1, math.sqrt(2) + 1))
    assert vote.winner == 1


def test_one_confident_sample_is_outvoted_by_a_class_of_two_and_outvotes_a_single_one() -> None:
    assert aggregate(["Lyon", "Paris"], [3.0, 2.0], QUESTION, "confidence").winner == 0


def test_majority_counts_heads_and_the_most_confident_of_the_class_is_the_answer() -> None:
    vote = aggregate(["Paris", "Lyon", "It is Paris."], [1.0, 9.0, 2.0], QUESTION, "majority")
    assert (vote.votes, vote.winner) == ((2.0, 1.0, 2.0), 2)


def test_first_takes_the_first_sample_whatever_the_others_say() -> None:
    assert aggregate(["Lyon", "Paris", "Paris"], [1.0, 2.0, 3.0], QUESTION, "first").winner == 0


def test_without_confidences_heads_are_counted() -> None:
    assert aggregate(["Lyon", "Paris", "Paris"], [1.0, None, 3.0], QUESTION, "confidence").votes == (1.0, 2.0, 2.0)


def test_an_empty_answer_has_no_vote() -> None:
    assert aggregate(["", "", "Paris"], [9.0, 8.0, 1.0], QUESTION, "confidence").winner == 2


def test_without_samples_there_is_nothing_to_vote_on() -> None:
    with pytest.raises(ValueError, match="no samples"):
        aggregate([], [], QUESTION, "majority")


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("Paris is the capital. It also", True),
        ("The capital of the country is", False),
        (r"so \boxed{4} and", True),
        ("We find that. The answer is the num", False),
    ],
)
def test_a_sample_that_was_cut_off_is_final_if_it_said_its_answer_before(text: str, final: bool) -> None:
    assert is_final(text) is final


def test_best_is_the_most_certain_that_says_anything() -> None:
    vote = aggregate(["London", "Paris", "London", ""], [1.0, 3.0, 2.0, 9.0], QUESTION, "best")
    assert vote.order == (1, 2, 0, 3)
    assert vote.votes == (0.0, 1.0, 0.0, 0.0)


def test_the_most_certain_verified_sample_wins_and_the_vote_ranks_the_others() -> None:
    texts = ["London", "London", "Paris", "It is Paris.", "Rome"]
    vote = aggregate(texts, [9.0, 8.0, 1.0, 2.0, 3.0], QUESTION, "verifier", [False, None, True, True, False])
    assert vote.order == (3, 2, 0, 1, 4)


def test_with_none_verified_the_vote_decides() -> None:
    texts, certain = ["London", "Paris", "Paris"], [1.0, 2.0, 3.0]
    none = aggregate(texts, certain, QUESTION, "verifier", [False, None, False])
    assert none == aggregate(texts, certain, QUESTION, "confidence")


def test_what_is_verified_decides_under_the_rule_verifier_alone() -> None:
    texts, certain = ["London", "Paris", "Paris"], [1.0, 2.0, 3.0]
    for rule in ("confidence", "majority", "first", "best"):
        assert aggregate(texts, certain, QUESTION, rule, [True, False, False]) == aggregate(
            texts, certain, QUESTION, rule
        )


def test_equal_answers_are_of_one_class_whatever_else_is_like_them() -> None:
    answers = [ShortAnswer.of(text, QUESTION) for text in ("a b c d", "b c", "c d", "b c", "c d e", "b c")]
    for group in classes(answers):
        for index in group:
            assert {place for place, other in enumerate(answers) if other == answers[index]} <= set(group)
