from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.retrieval.fusion import reciprocal_ranks
from services.retrieval.ranking import Ranking

quickly = settings(deadline=None, max_examples=60)
places = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), unique=True)


def ranking(found: list[tuple[int, int]]) -> Ranking:
    array = np.array(found, np.int64).reshape(-1, 2)
    return Ranking(array[:, 0], array[:, 1], np.arange(len(found), 0, -1, dtype=np.float64))


@quickly
@given(st.lists(places, max_size=3), st.integers(1, 10))
def test_the_fused_score_is_the_sum_of_reciprocal_ranks(rankings: list[list[tuple[int, int]]], count: int) -> None:
    expected = {
        place: sum(Fraction(1, 61 + found.index(place)) for found in rankings if place in found)
        for place in {place for found in rankings for place in found}
    }
    fused = reciprocal_ranks([ranking(found) for found in rankings], count)
    assert len(fused) == min(count, len(expected))
    assert fused.places() == sorted(expected, key=lambda place: (-expected[place], place))[:count]
    np.testing.assert_allclose(fused.scores, [float(expected[place]) for place in fused.places()])


@quickly
@given(
    st.lists(st.lists(st.sampled_from([0.25, 0.5, 1.0]), max_size=8), max_size=4),
    st.integers(1, 10),
)
def test_merged_segments_stand_by_score_and_equal_scores_by_place(parts: list[list[float]], count: int) -> None:
    merged = Ranking.merge([(np.arange(len(part)), np.array(part)) for part in parts], count)
    everything = sorted((-score, number, row) for number, part in enumerate(parts) for row, score in enumerate(part))
    assert merged.places() == [(number, row) for _, number, row in everything[:count]]
