"""What LEANN keeps of the vectors that it computed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.retrieval.leann.kept import Kept, Places, vectors

PLACES = st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), unique=True), max_size=8)


def vector(segment: int, row: int) -> NDArray[np.float32]:
    return np.array([segment, row, 1], np.float32)


class Embed:
    def __init__(self) -> None:
        self.asked: Places = []

    def __call__(self, places: Places) -> NDArray[np.float32]:
        self.asked += places
        return np.stack([vector(*place) for place in places])


@given(PLACES, st.integers(1, 30))
def test_whatever_was_searched_before_the_vectors_are_those_of_the_texts(searches: list[Places], limit: int) -> None:
    kept, embed = [Kept(limit) for _ in range(3)], Embed()
    for places in searches:
        made = vectors(kept, places, embed)
        assert made.tolist() == [vector(*place).tolist() for place in places]


def test_a_text_is_not_embedded_twice_while_its_vector_is_kept() -> None:
    kept, embed = [Kept(2)], Embed()
    vectors(kept, [(0, 1), (0, 2)], embed)
    vectors(kept, [(0, 2), (0, 1)], embed)
    assert embed.asked == [(0, 1), (0, 2)]


def test_the_vector_that_was_not_used_for_the_longest_time_makes_room() -> None:
    kept, embed = [Kept(2)], Embed()
    vectors(kept, [(0, 1), (0, 2)], embed)
    vectors(kept, [(0, 1)], embed)
    vectors(kept, [(0, 3)], embed)
    embed.asked.clear()
    vectors(kept, [(0, 1), (0, 2)], embed)
    assert embed.asked == [(0, 2)]
