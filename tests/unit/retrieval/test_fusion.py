from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.retrieval.fusion import mean_of_scaled
from services.retrieval.ranking import Ranking

quickly = settings(deadline=None, max_examples=60)
places = st.tuples(st.integers(0, 3), st.integers(0, 5))


scores = st.integers(-4, 12)


def ranking(found: dict[tuple[int, int], int], depth: int) -> Ranking:
    """The best `depth` of these scores by place."""
    best = sorted(found, key=lambda place: (-found[place], place))[:depth]
    array = np.array(best, np.int64).reshape(-1, 2)
    return Ranking(array[:, 0], array[:, 1], np.array([found[place] for place in best], np.float64))


def share(ranked: Ranking, place: tuple[int, int], depth: int) -> Fraction:
    """What a place has of a ranking, in words: where it lies between the floor and the best."""
    if place not in ranked.places():
        return Fraction(0)
    known = [Fraction(score) for score in ranked.scores.tolist()]
    floor = min(known) if len(known) == depth else min([*known, Fraction(0)])
    best = max(known)
    return Fraction(1) if best == floor else (known[ranked.places().index(place)] - floor) / (best - floor)


@quickly
@given(
    st.lists(st.dictionaries(places, scores, max_size=8), min_size=1, max_size=3), st.integers(1, 6), st.integers(1, 10)
)
def test_the_fused_score_is_the_mean_of_the_scores_between_floor_and_best(
    found: list[dict[tuple[int, int], int]], depth: int, count: int
) -> None:
    rankings = [ranking(each, depth) for each in found]
    expected = {
        place: float(sum(share(each, place, depth) for each in rankings) / len(rankings))
        for place in {place for each in rankings for place in each.places()}
    }
    fused = mean_of_scaled(rankings, depth, count)
    assert len(fused) == min(count, len(expected))
    np.testing.assert_allclose(fused.scores, sorted(expected.values(), reverse=True)[:count], atol=1e-12)
    np.testing.assert_allclose(fused.scores, [expected[place] for place in fused.places()], atol=1e-12)


def test_what_both_find_well_stands_over_what_one_finds_best() -> None:
    words, meaning = {(0, 0): 10, (0, 1): 9, (0, 2): 1}, {(0, 3): 10, (0, 1): 9, (0, 2): 1}
    fused = mean_of_scaled([ranking(words, 3), ranking(meaning, 3)], 3, 4)
    assert fused.places() == [(0, 1), (0, 0), (0, 3), (0, 2)]
    np.testing.assert_allclose(fused.scores, [8 / 9, 0.5, 0.5, 0])


def test_a_ranking_that_says_nothing_takes_nothing_from_the_other() -> None:
    fused = mean_of_scaled([ranking({}, 5), ranking({(0, 0): 3, (1, 0): 2}, 5)], 5, 5)
    assert fused.places() == [(0, 0), (1, 0)]


@quickly
@given(
    st.lists(st.lists(st.sampled_from([0.25, 0.5, 1.0]), max_size=8), max_size=4),
    st.integers(1, 10),
)
def test_merged_segments_stand_by_score_and_equal_scores_by_place(parts: list[list[float]], count: int) -> None:
    merged = Ranking.merge([(np.arange(len(part)), np.array(part)) for part in parts], count)
    everything = sorted((-score, number, row) for number, part in enumerate(parts) for row, score in enumerate(part))
    assert merged.places() == [(number, row) for _, number, row in everything[:count]]
