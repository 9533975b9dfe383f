"""Keys and values of a changing batch are those of sequences kept apart."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from services.model.engines.keyvalues import KeyValues, Shape
from services.model.engines.prefixes import PrefixCache

SHAPE = Shape(layers=2, heads=1, dim=1, dtype=torch.float32)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 9), st.integers(1, 3)),
        st.tuples(st.just("append"), st.integers(1, 40), st.just(0)),
        st.tuples(st.just("remove"), st.integers(0, 9), st.just(0)),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(actions=ACTIONS)
def test_whatever_joins_grows_and_leaves_the_rest_stays_as_it_was(actions: list[tuple[str, int, int]]) -> None:
    values, expected, counter = KeyValues(SHAPE), list[Tensor](), 0.0
    for action, amount, copies in actions:
        if action == "add":
            counter += 1
            prompt = torch.full((2, 2, 1, amount, 1), counter)
            values.add(prompt, copies, room=2)
            expected += [prompt] * copies
        elif action == "append":
            for _ in range(amount if expected else 0):
                counter += 1
                values.appending(1)
                new = counter + torch.arange(len(expected)).view(-1, 1, 1, 1) / 64
                for layer in range(2):
                    values.write(layer, new, new)
                values.advance(1)
                expected = [torch.cat([old, new[row].expand(2, 2, 1, 1, 1)], dim=3) for row, old in enumerate(expected)]
        elif expected:
            row = amount % len(expected)
            values.remove(row)
            expected[row] = expected[-1]
            expected.pop()
        assert values.lengths() == [sequence.shape[3] for sequence in expected]
        for row, sequence in enumerate(expected):
            assert torch.equal(values.sequence(row), sequence)


def test_padding_is_zero_even_where_nan_was() -> None:
    values = KeyValues(SHAPE)
    values.add(torch.full((2, 2, 1, 6, 1), float("nan")))
    values.add(torch.ones(2, 2, 1, 6, 1))
    values.remove(0)
    values.add(torch.ones(2, 2, 1, 2, 1))
    values.appending(1)
    keys, found = values.write(0, torch.ones(2, 1, 1, 1), torch.ones(2, 1, 1, 1))
    assert keys[1].flatten().tolist() == found[1].flatten().tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert values.visible()[1].flatten().tolist() == [False] * 4 + [True] * 3


def test_memory_goes_with_the_last_sequence() -> None:
    values = KeyValues(SHAPE)
    values.add(torch.ones(2, 2, 1, 500, 1))
    values.remove(0)
    assert values._store.numel() == 0


def prompt_values(tokens: int) -> Tensor:
    return torch.arange(tokens, dtype=torch.float32).expand(2, 2, 1, tokens).unsqueeze(-1).clone()


def test_a_known_beginning_is_found_only_under_its_own_mask() -> None:
    cache = PrefixCache(1 << 20, grain=2)
    prompt = (5, 6, 7, 8, 9)
    cache.put(frozenset({0, 1}), prompt, prompt_values(5))
    assert cache.longest(frozenset({0}), prompt) is None
    assert cache.longest(frozenset({0, 1, 2}), prompt) is None
    found = cache.longest(frozenset({0, 1}), (5, 6, 7, 8, 1))
    assert found is not None
    assert found.shape[3] == 4


def test_the_last_token_of_a_prompt_is_always_left_to_compute() -> None:
    cache = PrefixCache(1 << 20, grain=2)
    cache.put(frozenset({0}), (5, 6, 7, 8), prompt_values(4))
    found = cache.longest(frozenset({0}), (5, 6, 7, 8))
    assert found is not None
    assert found.shape[3] == 2


def test_the_oldest_prompts_are_forgotten_to_stay_within_the_bound() -> None:
    cache = PrefixCache(prompt_values(4).nbytes * 2, grain=1)
    for first in (1, 2, 3):
        cache.put(frozenset({0}), (first, 5, 5, 5), prompt_values(4))
    assert cache.longest(frozenset({0}), (1, 5, 5, 5)) is None
    assert cache.longest(frozenset({0}), (3, 5, 5, 5)) is not None


def test_a_prompt_below_one_grain_evicts_nothing() -> None:
    cache = PrefixCache(prompt_values(4).nbytes, grain=4)
    cache.put(frozenset({0}), (1, 5, 5, 5), prompt_values(4))
    cache.put(frozenset({0}), (2, 5, 5), prompt_values(3))
    assert cache.longest(frozenset({0}), (1, 5, 5, 5, 9)) is not None


def test_only_whole_grains_take_memory() -> None:
    cache = PrefixCache(prompt_values(8).nbytes, grain=4)
    for first in (1, 2):
        cache.put(frozenset({0}), (first, 5, 5, 5, 6, 7, 8), prompt_values(7))
    for first in (1, 2):
        found = cache.longest(frozenset({0}), (first, 5, 5, 5, 6, 7, 8))
        assert found is not None
        assert torch.equal(found, prompt_values(4))
        assert found.untyped_storage().nbytes() == found.nbytes
