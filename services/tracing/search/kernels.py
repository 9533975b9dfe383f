"""Binary search in suffix arrays: the longest match at every position, the rank range of an n-gram, what follows it.

All functions take many patterns or ranks at once, run without the GIL, and return ranks rather than occurrences, so
that their cost depends on the length of the text and the depth of the search, never on how often something occurs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from services.tracing.search.arrays import Index, Numbers, Packed, Patterns
from services.tracing.tokenizer import Ids

Function = TypeVar("Function", bound=Callable[..., object])
compiled: Callable[[Function], Function] = numba.njit(nogil=True, cache=True)
helper: Callable[[Function], Function] = numba.njit(nogil=True)
"""What only compiled functions call is compiled, and kept on disk, as a part of them."""

END = -1
"""Stands for a token after the last one of a document."""


@compiled
def longest(index: Index, patterns: Patterns) -> Numbers:
    """For each pattern the length of its longest prefix that occurs in the index; (patterns,) int64, 0 for none."""
    found = np.zeros(patterns.length.size, dtype=np.int64)
    for p in range(found.size):
        low, high = _bucket(index, _symbol(patterns, p, 0))
        if low < high:
            # the pattern's two neighbours in suffix order share more of it than any other suffix does
            rank, below, above = _descend(index, patterns, p, (low, high), False)
            if index.dead.size:
                below = _shared(index, patterns, p, _living_below(index, rank))
                above = _shared(index, patterns, p, _living_from(index, rank))
            found[p] = max(below, above)
    return found


@compiled
def ranges(index: Index, patterns: Patterns) -> Numbers:
    """The ranks [low, high) of the suffixes that begin with each pattern and how many of them are not dead.

    (patterns, 3) int64; low = high for none.
    """
    found = np.zeros((patterns.length.size, 3), dtype=np.int64)
    for p in range(found.shape[0]):
        low, high = _bucket(index, _symbol(patterns, p, 0))
        if low < high and patterns.length[p] > 1:
            low, _, shared = _descend(index, patterns, p, (low, high), False)
            if shared == patterns.length[p]:
                high, _, _ = _descend(index, patterns, p, (low, high), True)
            else:
                high = low
        found[p, 0], found[p, 1], found[p, 2] = low, high, _living(index, low, high)
    return found


@compiled
def range_of(index: Index, ids: Ids) -> tuple[int, int, int]:
    """As `ranges` for the one pattern that is all of `ids`, at a third of the price of a call."""
    low, high = _bucket(index, np.int64(ids[0]))
    if low < high and ids.size > 1:
        zero, length = np.zeros(1, dtype=np.int64), np.full(1, np.int64(ids.size))
        pattern = Patterns(ids, ids[:0], zero, zero, zero, length)
        low, _, shared = _descend(index, pattern, 0, (low, high), False)
        if shared == ids.size:
            high, _, _ = _descend(index, pattern, 0, (low, high), True)
        else:
            high = low
    return int(low), int(high), int(_living(index, low, high))


@compiled
def positions(index: Index, ranks: Numbers) -> Numbers:
    """The positions in `index.tokens` of suffixes; (ranks,) int64."""
    found = np.empty(ranks.size, dtype=np.int64)
    for n in range(ranks.size):
        found[n] = _position(index.suffixes, ranks[n])
    return found


@compiled
def living(index: Index, low: int, numbers: Numbers) -> Numbers:
    """The rank of living suffix number n from rank `low` on, of each of `numbers`; there must be so many."""
    found = np.empty(numbers.size, dtype=np.int64)
    for n in range(numbers.size):
        # the answer lies so far to the right of low + number as there are dead ranks before it
        first = np.int64(low)
        left, right = first + numbers[n], first + numbers[n] + index.dead.size
        while left < right:
            middle = (left + right) >> 1
            if _living(index, first, middle + 1) > numbers[n]:
                right = middle
            else:
                left = middle + 1
        found[n] = left
    return found


@compiled
def following(index: Index, low: int, high: int, depth: int) -> Numbers:
    """The tokens that follow the `depth` first tokens that all suffixes of the ranks [low, high) share, and how often.

    (tokens, 2) int64, in no order that means anything; END where the document ends. The cost is that of two binary
    searches for each token, however often it follows.
    """
    found = np.empty((16, 2), dtype=np.int64)
    size, rank = 0, np.int64(low)
    while rank < high:
        token = _token(index, _position(index.suffixes, rank) + depth)
        key = _key(index, token)
        step, left = np.int64(1), rank
        while left + step < high and _key(index, _token(index, _position(index.suffixes, left + step) + depth)) == key:
            left += step
            step *= 2
        right = min(left + step, np.int64(high))
        left += 1
        while left < right:
            middle = (left + right) >> 1
            if _key(index, _token(index, _position(index.suffixes, middle) + depth)) == key:
                left = middle + 1
            else:
                right = middle
        count = _living(index, rank, left)
        if count:
            if size == found.shape[0]:
                found = np.concatenate((found, np.empty_like(found)))
            found[size, 0], found[size, 1] = token, count
            size += 1
        rank = left
    return found[:size]


@compiled
def first_ranks(index: Index, tokens: Ids, after: bool) -> Numbers:
    """The first rank whose suffix begins with a token or past it, or with `after` past it; (tokens,) int64.

    Asks nothing of `firsts` and `pasts`, which can be made with it.
    """
    found = np.empty(tokens.size, dtype=np.int64)
    for n in range(tokens.size):
        low, high, key = np.int64(0), index.suffixes.size, _key(index, np.int64(tokens[n]))
        while low < high:
            middle = (low + high) >> 1
            there = _key(index, np.int64(index.tokens[_position(index.suffixes, middle)]))
            if there < key or (after and there == key):
                low = middle + 1
            else:
                high = middle
        found[n] = low
    return found


@compiled
def ranks_of(index: Index, first: int, last: int) -> Numbers:
    """The ranks of the suffixes that begin at positions [first, last), all of one document that ends at `last`."""
    found = np.empty(last - first, dtype=np.int64)
    zeros = np.zeros(1, dtype=np.int64)
    end = min(last + 1, index.tokens.size)
    for position in range(first, last):
        at, length = np.full(1, position), np.full(1, end - position)
        pattern = Patterns(index.tokens, index.tokens[:0], zeros, zeros, at, length)
        low, high = _bucket(index, _symbol(pattern, 0, 0))
        low, _, _ = _descend(index, pattern, 0, (low, high), False)
        # behind the separator the order says nothing of it: equal endings stand side by side
        while _position(index.suffixes, low) != position:
            low += 1
        found[position - first] = low
    return found


@compiled
def ranks_within(suffixes: Packed, firsts: Numbers, lasts: Numbers) -> Numbers:
    """The ranks of the suffixes that begin within any of the stretches [first, last) of positions, ascending.

    One walk over all suffixes; the stretches are ascending and disjoint.
    """
    found = np.empty((lasts - firsts).sum(), dtype=np.int64)
    size = 0
    for rank in range(suffixes.size):
        position = _position(suffixes, rank)
        at = np.searchsorted(firsts, position, side="right") - 1
        if at >= 0 and position < lasts[at]:
            found[size] = rank
            size += 1
    return found[:size]


@compiled
def near(index: Index, places: Numbers, bounds: Numbers, runs: Patterns, distance: int) -> NDArray[np.bool_]:
    """Whether one of some runs of tokens begins at most `distance` tokens from each place, within its document.

    `places` ascending; `bounds` (places, 2): the document's positions [first, last).
    """
    found = np.zeros(places.size, dtype=np.bool_)
    for run in range(runs.length.size):
        length = runs.length[run]
        # no position is looked at twice: the run stands at `seen`, and nowhere from there to before `at`
        seen, at = np.int64(-1), np.int64(0)
        for n in range(places.size):
            first = max(bounds[n, 0], places[n] - distance)
            last = min(bounds[n, 1] - length, places[n] + distance)
            at = max(at, first)
            while seen < first and at <= last:
                if _extended(index, runs, run, at, np.int64(0)) == length:
                    seen = at
                at += 1
            found[n] |= seen >= first
    return found


@compiled
def pack_into(words: NDArray[np.uint64], first: int, numbers: Ids, width: int) -> None:
    """Write numbers of `width` bits from number `first` on into zeroed words."""
    for n in range(numbers.size):
        bit = np.uint64((first + n) * width)
        word, offset = bit >> np.uint64(6), bit & np.uint64(63)
        number = np.uint64(numbers[n])
        words[word] |= number << offset
        if offset + np.uint64(width) > np.uint64(64):
            words[word + np.uint64(1)] |= number >> (np.uint64(64) - offset)


@helper
def _position(suffixes: Packed, rank: int | np.int64) -> np.int64:
    """Number `rank` of packed numbers."""
    width = np.uint64(suffixes.width)
    bit = np.uint64(rank) * width
    word, offset = np.int64(bit >> np.uint64(6)), bit & np.uint64(63)
    number = _word(suffixes, word) >> offset
    if offset + width > np.uint64(64):
        number |= _word(suffixes, word + 1) << (np.uint64(64) - offset)
    number &= (np.uint64(1) << width) - np.uint64(1)
    return np.int64(number >> np.uint64(suffixes.shift))


@helper
def _word(suffixes: Packed, word: np.int64) -> np.uint64:
    return suffixes.words[word] if word < suffixes.words.size else suffixes.last


@helper
def _token(index: Index, position: np.int64) -> np.int64:
    """The token at a position, or END for a separator and past the last token."""
    if position >= index.tokens.size:
        return np.int64(END)
    token = np.int64(index.tokens[position])
    return np.int64(END) if token == index.separator else token


@helper
def _key(index: Index, token: np.int64) -> np.int64:
    """What tokens are sorted by."""
    return _swapped(token, index.tokens.itemsize) if index.swapped and token >= 0 else token


@helper
def _symbol(patterns: Patterns, p: int, k: int | np.int64) -> np.int64:
    """Token k of pattern p."""
    split = patterns.split[p]
    if k < split:
        return np.int64(patterns.heads[patterns.head[p] + k])
    return np.int64(patterns.text[patterns.tail[p] + k - split])


@helper
def _bucket(index: Index, token: np.int64) -> tuple[np.int64, np.int64]:
    """The ranks of the suffixes that begin with a token; an id the vocabulary does not have begins none."""
    if token >= index.firsts.size:
        return np.int64(0), np.int64(0)
    return np.int64(index.firsts[token]), np.int64(index.pasts[token])


@helper
def _descend(
    index: Index, patterns: Patterns, p: int, within: tuple[np.int64, np.int64], after: bool
) -> tuple[np.int64, np.int64, np.int64]:
    """The first rank of [low, high) whose suffix is not below pattern p, or that is past all that begin with it.

    Also what the pattern shares with the suffix before that rank and with the suffix at it, in tokens; every
    suffix of the range shares the first. A comparison starts where both ends of the remaining range already
    agree with the pattern (Manber and Myers 1993), so that no token is compared twice on the way down one side.
    """
    # names for arrays, and one body: a helper that is given them counts references to each at every step, which took
    # six times as long as the step
    tokens, text, heads = index.tokens, patterns.text, patterns.heads
    words, last = index.suffixes.words, index.suffixes.last
    width, shift = np.uint64(index.suffixes.width), np.uint64(index.suffixes.shift)
    mask = (np.uint64(1) << width) - np.uint64(1)
    swapped, size = index.swapped, np.int64(tokens.size)
    length, split, head = patterns.length[p], patterns.split[p], patterns.head[p]
    tail = patterns.tail[p] - split
    low, high = within
    below = above = np.int64(1)
    while low < high:
        middle = (low + high) >> 1
        bit = np.uint64(middle) * width
        word, offset = np.int64(bit >> np.uint64(6)), bit & np.uint64(63)
        number = (words[word] if word < words.size else last) >> offset
        if offset + width > np.uint64(64):
            word += 1
            number |= (words[word] if word < words.size else last) << (np.uint64(64) - offset)
        position = np.int64((number & mask) >> shift)
        shared = min(below, above)
        most = min(length, size - position)
        while shared < split and shared < most and tokens[position + shared] == heads[head + shared]:
            shared += 1
        if shared >= split:
            while shared < most and tokens[position + shared] == text[tail + shared]:
                shared += 1
        if shared == length:
            smaller = after
        elif shared == most:
            smaller = True
        else:
            there = np.int64(tokens[position + shared])
            asked = np.int64(heads[head + shared] if shared < split else text[tail + shared])
            if swapped:
                there, asked = _swapped(there, tokens.itemsize), _swapped(asked, tokens.itemsize)
            smaller = bool(there < asked)
        if smaller:
            low, below = middle + np.int64(1), shared
        else:
            high, above = middle, shared
    return low, below, above


@helper
def _swapped(token: np.int64, size: int) -> np.int64:
    """A token's bytes the other way round."""
    key = np.int64(0)
    for _ in range(size):
        key = (key << 8) | (token & 255)
        token >>= 8
    return key


@helper
def _extended(index: Index, patterns: Patterns, p: int, position: np.int64, shared: np.int64) -> np.int64:
    """How many tokens pattern p shares with the suffix at a position, if it shares so many."""
    most = min(patterns.length[p], np.int64(index.tokens.size) - position)
    while shared < most and np.int64(index.tokens[position + shared]) == _symbol(patterns, p, shared):
        shared += 1
    return shared


@helper
def _shared(index: Index, patterns: Patterns, p: int, rank: np.int64) -> np.int64:
    """How many tokens pattern p shares with the suffix of a rank, 0 for one that is none."""
    if rank < 0 or rank >= index.suffixes.size:
        return np.int64(0)
    return _extended(index, patterns, p, _position(index.suffixes, rank), np.int64(0))


@helper
def _living(index: Index, low: np.int64, high: np.int64) -> np.int64:
    """How many of the ranks [low, high) are not dead."""
    if index.dead.size == 0:
        return np.int64(high) - np.int64(low)
    dead = np.searchsorted(index.dead, high) - np.searchsorted(index.dead, low)
    return np.int64(high) - np.int64(low) - np.int64(dead)


@helper
def _living_below(index: Index, rank: np.int64) -> np.int64:
    """The last living rank before this one, or -1."""
    at = np.searchsorted(index.dead, rank)
    rank -= 1
    while at > 0 and np.int64(index.dead[at - 1]) == rank:
        at -= 1
        rank -= 1
    return rank


@helper
def _living_from(index: Index, rank: np.int64) -> np.int64:
    """The first living rank from this one on, or the number of ranks."""
    at = np.searchsorted(index.dead, rank)
    while at < index.dead.size and np.int64(index.dead[at]) == rank:
        at += 1
        rank += 1
    return rank
