"""pass@k against all subsets, and the votes against the gateway's, which is another implementation."""

from itertools import combinations
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.aggregate import aggregate
from services.evaluation.metrics.maths import same
from services.evaluation.metrics.sampling import borda, majority, most_confident, pass_at_k


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.data())
def test_pass_at_k_is_the_share_of_all_subsets_with_a_right_sample(right: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(right)))
    subsets = list(combinations(right, k))
    assert pass_at_k(len(right), sum(right), k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_of_many_samples_stays_exact() -> None:
    assert pass_at_k(64, 0, 64) == 0
    assert pass_at_k(64, 1, 1) == pytest.approx(1 / 64)
    assert pass_at_k(64, 1, 64) == 1


@pytest.mark.parametrize(("samples", "right", "k"), [(4, 1, 5), (4, 5, 1), (4, 1, 0), (0, 0, 1)])
def test_pass_at_k_of_what_cannot_be_is_refused(samples: int, right: int, k: int) -> None:
    with pytest.raises(ValueError, match="there is no pass@"):
        pass_at_k(samples, right, k)


numbers = st.lists(st.sampled_from(["", "7", "12", "12.0", "30"]), min_size=1, max_size=12)


@given(numbers, st.data())
def test_the_votes_choose_as_the_gateway_does(answers: list[str], data: st.DataObject) -> None:
    confidences = data.draw(
        st.lists(st.floats(0, 9, width=16), min_size=len(answers), max_size=len(answers), unique=True)
    )
    chosen = borda(answers, confidences, same)
    theirs = aggregate(
        [f"Answer: {one}" if one else "" for one in answers], list(confidences), "How many?", "confidence"
    )
    if chosen is None:
        assert not any(answers)
        return
    ours, most = _votes(answers, confidences), max(theirs.votes)
    assert ours[chosen] == pytest.approx(most, abs=1e-5)
    assert chosen == theirs.winner or ours[theirs.winner] == pytest.approx(ours[chosen], abs=1e-5)


def _votes(answers: list[str], confidences: list[float]) -> list[float]:
    """Borda's votes by their definition."""
    rank = {at: place for place, at in enumerate(sorted(range(len(answers)), key=lambda at: -confidences[at]), start=1)}
    return [
        sum(sqrt(len(answers) - rank[b] + 1) for b in range(len(answers)) if one and same(answers[b], one))
        for one in answers
    ]


def test_a_vote_worked_by_hand() -> None:
    answers, confidences = ["3", "4", "4", "3", "5"], [5.0, 4.0, 3.0, 1.0, 2.0]
    # ranks 1 2 3 5 4: 3 has sqrt5 + sqrt1 = 3.24, 4 has sqrt4 + sqrt3 = 3.73, 5 has sqrt2
    assert borda(answers, confidences, same) == 1
    assert majority(answers, same) == 0
    assert most_confident(answers, confidences) == 0
    assert most_confident(["", "4"], [9.0, 1.0]) == 1


def test_no_answers_choose_nothing() -> None:
    assert majority(["", ""], same) is None
    assert borda(["", ""], [1.0, 2.0], same) is None
    assert most_confident(["", ""], [1.0, 2.0]) is None
