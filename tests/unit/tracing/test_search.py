"""The search in suffix arrays against the obvious way, on random corpora of every token width."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tracing.index.suffixes import first_ranks, suffix_array
from services.tracing.search.arrays import Index, Patterns, stretches, whole
from services.tracing.search.kernels import (
    END,
    following,
    living,
    longest,
    positions,
    ranges,
    ranks_of,
    ranks_within,
)
from services.tracing.search.packing import pack, packed, packed_bytes, width_for

VOCABULARY = 4
WIDTHS = [np.uint8, np.uint16, np.uint32]
Width = type[np.unsignedinteger]
Texts = list[list[int]]
documents = st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=30), min_size=1, max_size=8)
sequences = st.lists(st.integers(0, VOCABULARY), min_size=1, max_size=20)


def make_index(texts: Texts, dtype: Width, hidden: set[int] | None = None) -> Index:
    """The index of texts, of which those with a number in `hidden` are hidden."""
    separator = np.iinfo(dtype).max
    tokens = np.array([token for text in texts for token in [*text, separator]], dtype=dtype)
    suffixes = suffix_array(tokens)
    words, firsts = pack(suffixes, width_for(tokens.size)), first_ranks(tokens, VOCABULARY)
    where = packed(words, suffixes.size, width_for(tokens.size))
    starts = np.cumsum([0, *(len(text) + 1 for text in texts)])
    gone = [rank for rank, at in enumerate(suffixes) if np.searchsorted(starts, at, "right") - 1 in (hidden or ())]
    dead = np.array(gone, dtype=np.uint32)
    for array in (tokens, words, firsts, dead):
        array.flags.writeable = False  # as memory maps are, so that the search is compiled once
    return Index(tokens, np.int64(separator), where, firsts[:-1], firsts[1:], False, dead)


def places(texts: Texts, needle: list[int], hidden: set[int] | None = None) -> list[int]:
    """Positions in the joined tokens; a separator takes one place after each text."""
    found, start = [], 0
    for number, text in enumerate(texts):
        if number not in (hidden or ()):
            found += [start + n for n in range(len(text)) if text[n : n + len(needle)] == needle]
        start += len(text) + 1
    return found


def all_positions(index: Index) -> list[int]:
    return [int(position) for position in positions(index, np.arange(index.suffixes.size))]


@pytest.mark.parametrize("dtype", WIDTHS)
@settings(max_examples=60, deadline=None)
@given(texts=documents)
def test_suffixes_are_in_order_alike_ones_in_that_of_their_places_and_none_is_a_separators(
    dtype: Width, texts: Texts
) -> None:
    index = make_index(texts, dtype)
    ends = np.flatnonzero(index.tokens == index.separator)
    tails = [(index.tokens[at : ends[np.searchsorted(ends, at)] + 1].tolist(), at) for at in all_positions(index)]
    assert tails == sorted(tails)
    assert len(tails) == sum(map(len, texts))


@pytest.mark.parametrize("largest", [0xFFFFFE, 0xFFFFFF, 0xFFFFFFFE])
def test_large_ids_are_sorted_as_numbers(largest: int) -> None:
    separator = 0xFFFFFFFF
    tokens = np.array([largest, 5, separator, largest, 0x10000, separator, 0xFF, largest, separator], dtype=np.uint32)
    assert suffix_array(tokens).tolist() == [1, 6, 4, 0, 3, 7]


@settings(max_examples=200, deadline=None)
@given(numbers=st.lists(st.integers(0, 2**33 - 1), min_size=1, max_size=40), more=st.integers(0, 30))
def test_numbers_are_packed_in_any_number_of_bits_and_read_again(numbers: list[int], more: int) -> None:
    array = np.array(numbers, dtype=np.uint64)
    width = width_for(int(array.max()) + 1) + more
    words = pack(array, width)
    words.flags.writeable = False
    index = make_index([[0]], np.uint16)._replace(suffixes=packed(words, array.size, width))
    assert all_positions(index) == numbers
    assert words.size == -(-array.size * width // 64)


@settings(max_examples=100, deadline=None)
@given(numbers=st.lists(st.integers(0, 2**40 - 1), min_size=1, max_size=40), shift=st.integers(0, 2))
def test_numbers_of_whole_bytes_are_read_though_the_file_ends_within_a_word(numbers: list[int], shift: int) -> None:
    data = np.frombuffer(b"".join(number.to_bytes(5, "little") for number in numbers), dtype=np.uint8)
    index = make_index([[0]], np.uint16)._replace(suffixes=packed_bytes(data, 40, shift))
    assert all_positions(index) == [number >> shift for number in numbers]


@pytest.mark.parametrize("dtype", WIDTHS)
@settings(max_examples=80, deadline=None)
@given(texts=documents, sequence=sequences, hidden=st.sets(st.integers(0, 7)))
def test_a_range_holds_all_occurrences_and_counts_those_not_hidden(
    dtype: Width, texts: Texts, sequence: list[int], hidden: set[int]
) -> None:
    index = make_index(texts, dtype, hidden)
    ((low, high, count),) = ranges(index, whole(np.array(sequence, dtype=dtype))).tolist()
    assert sorted(all_positions(index)[low:high]) == places(texts, sequence)
    assert count == len(places(texts, sequence, hidden))
    alive = positions(index, living(index, low, np.arange(count)))
    assert sorted(alive.tolist()) == places(texts, sequence, hidden)


@settings(max_examples=300, deadline=None)
@given(
    texts=documents,
    sequence=sequences,
    head=sequences,
    cut=st.tuples(st.integers(0, 5), st.integers(0, 25)),
    hidden=st.sets(st.integers(0, 7)),
)
def test_the_longest_match_occurs_and_one_token_more_does_not(
    texts: Texts, sequence: list[int], head: list[int], cut: tuple[int, int], hidden: set[int]
) -> None:
    index = make_index(texts, np.uint16, hidden)
    split, tail = min(cut[0], len(head)), min(cut[1], len(sequence))
    pattern = head[:split] + sequence[tail:]
    if not pattern:
        return
    numbers = [np.array([n], dtype=np.int64) for n in (0, split, tail, len(pattern))]
    ids, heads = (np.array(one, dtype=np.uint16) for one in (sequence, head))
    (length,) = longest(index, Patterns(ids, heads, *numbers)).tolist()
    assert length == 0 or places(texts, pattern[:length], hidden)
    assert length == len(pattern) or not places(texts, pattern[: length + 1], hidden)


@settings(max_examples=200, deadline=None)
@given(
    texts=documents,
    context=st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=4),
    hidden=st.sets(st.integers(0, 7)),
)
def test_what_follows_is_counted_and_the_end_of_a_document_too(
    texts: Texts, context: list[int], hidden: set[int]
) -> None:
    index = make_index(texts, np.uint16, hidden)
    ((low, high, _),) = ranges(index, whole(np.array(context, dtype=np.uint16))).tolist()
    found = dict(following(index, low, high, len(context)).tolist())
    n = len(context)
    shown = [text for number, text in enumerate(texts) if number not in hidden]
    expected = Counter(
        text[at + n] if at + n < len(text) else END
        for text in shown
        for at in range(len(text))
        if text[at : at + n] == context
    )
    assert found == expected


@settings(max_examples=200, deadline=None)
@given(texts=documents, chosen=st.sets(st.integers(0, 7), min_size=1))
def test_the_ranks_of_a_document_are_the_same_looked_up_and_walked(texts: Texts, chosen: set[int]) -> None:
    index = make_index(texts, np.uint16)
    starts = np.cumsum([0, *(len(text) + 1 for text in texts)])
    numbers = sorted(number for number in chosen if number < len(texts))
    firsts = starts[numbers].astype(np.int64)
    lasts = firsts + np.array([len(texts[number]) for number in numbers], dtype=np.int64)
    where = all_positions(index)
    for number, first, last in zip(numbers, firsts.tolist(), lasts.tolist(), strict=True):
        assert [where[rank] for rank in ranks_of(index, first, last).tolist()] == list(range(first, last)), number
    walked = ranks_within(index.suffixes, firsts, lasts).tolist()
    looked = [
        ranks_of(index, first, last).tolist() for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)
    ]
    assert walked == sorted(rank for ranks in looked for rank in ranks)


def test_stretches_of_a_text_are_patterns() -> None:
    index = make_index([[0, 1, 2, 3, 0, 1]], np.uint16)
    ids = np.array([3, 0, 1, 2], dtype=np.uint16)
    found = longest(index, stretches(ids, np.arange(4), np.array([4, 3, 2, 1])))
    assert found.tolist() == [3, 3, 2, 1]
