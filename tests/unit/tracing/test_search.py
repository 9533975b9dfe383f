"""The search in suffix arrays against the obvious way, on random corpora of every token width."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tracing.index.suffixes import buckets, suffix_array
from services.tracing.search import Index, Patterns, longest, ranges, whole

VOCABULARY = 4
documents = st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=30), min_size=1, max_size=8)
sequences = st.lists(st.integers(0, VOCABULARY), min_size=1, max_size=20)


def make_index(texts: list[list[int]], dtype: type[np.unsignedinteger]) -> Index:
    separator = np.iinfo(dtype).max
    tokens = np.array([token for text in texts for token in [*text, separator]], dtype=dtype)
    index = Index(tokens, suffix_array(tokens), buckets(tokens, VOCABULARY))
    for array in index:
        array.flags.writeable = False  # as memory maps are, so that the search is compiled once
    return index


def places(texts: list[list[int]], needle: list[int]) -> set[int]:
    """Positions in the joined tokens; a separator takes one place after each text."""
    found, start = set(), 0
    for text in texts:
        found |= {start + n for n in range(len(text)) if text[n : n + len(needle)] == needle}
        start += len(text) + 1
    return found


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@settings(max_examples=60, deadline=None)
@given(texts=documents)
def test_suffixes_are_in_order_and_none_is_a_separators(
    dtype: type[np.unsignedinteger], texts: list[list[int]]
) -> None:
    index = make_index(texts, dtype)
    tails = [index.tokens[at:].tolist() for at in index.suffixes]
    assert tails == sorted(tails)
    assert len(tails) == sum(map(len, texts))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@settings(max_examples=80, deadline=None)
@given(texts=documents, sequence=sequences)
def test_a_range_holds_all_occurrences_and_nothing_else(
    dtype: type[np.unsignedinteger], texts: list[list[int]], sequence: list[int]
) -> None:
    index = make_index(texts, dtype)
    ((low, high),) = ranges(index, whole(np.array(sequence, dtype=dtype))).tolist()
    found = index.suffixes[low:high].tolist()
    assert set(found) == places(texts, sequence)
    assert len(found) == len(set(found))


@settings(max_examples=200, deadline=None)
@given(texts=documents, sequence=sequences, head=sequences, split=st.integers(0, 5), tail=st.integers(0, 25))
def test_the_longest_match_occurs_and_one_token_more_does_not(
    texts: list[list[int]], sequence: list[int], head: list[int], split: int, tail: int
) -> None:
    index = make_index(texts, np.uint16)
    split, tail = min(split, len(head)), min(tail, len(sequence))
    pattern = head[:split] + sequence[tail:]
    if not pattern:
        return
    numbers = [np.array([n], dtype=np.int64) for n in (0, split, tail, len(pattern))]
    ids, heads = (np.array(one, dtype=np.uint16) for one in (sequence, head))
    (length,) = longest(index, Patterns(ids, heads, *numbers)).tolist()
    assert length == 0 or places(texts, pattern[:length])
    assert length == len(pattern) or not places(texts, pattern[: length + 1])
