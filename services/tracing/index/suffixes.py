"""Suffix sorting."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydivsufsort import divsufsort

from services.tracing.search.ties import alike, halve, settle
from services.tracing.tokenizer import Ids

MAX_TOKENS = 1 << 28
"""Tokens sorted at once at most: the sorter counts bytes in 31 bits, and tokens are up to 4 bytes wide."""


def suffix_array(tokens: Ids) -> NDArray[np.uint32]:
    """Positions of `tokens` that are not separators (the largest id of the dtype), in the order of their suffixes.

    Documents end with a separator, which sorts last: suffixes that begin with it are the end of the array and
    are cut off. Suffixes that are the same up to it are in the order of their positions. Raises ValueError past
    MAX_TOKENS.
    """
    if tokens.size > MAX_TOKENS:
        raise ValueError(f"{tokens.size} tokens in a segment; at most {MAX_TOKENS} can be sorted in one")
    separators = np.flatnonzero(tokens == np.iinfo(tokens.dtype).max)
    spelt, size = _spelt(tokens)
    order: NDArray[np.int32] = divsufsort(spelt)
    del spelt
    suffixes = order[: halve(order, size) - separators.size].copy()
    del order
    edges = np.concatenate((np.zeros(1, dtype=np.int64), separators + 1))
    positions, sizes = alike(tokens, edges)
    ascending = np.argsort(positions)
    settle(suffixes, positions[ascending], sizes[ascending], tokens.size)
    return suffixes.view(np.uint32)


def first_ranks(tokens: Ids, vocabulary: int) -> NDArray[np.uint32]:
    """The first rank of each token id, (vocabulary + 1,): its differences are how often each token occurs."""
    counts = np.bincount(tokens[tokens != np.iinfo(tokens.dtype).max], minlength=vocabulary)
    return np.concatenate(([0], np.cumsum(counts))).astype(np.uint32)


def _spelt(tokens: Ids) -> tuple[NDArray[np.uint8], int]:
    """Tokens as bytes in whose order they are, and how many bytes each: 3 rather than 4 where no id needs more."""
    width = tokens.dtype.itemsize
    data: NDArray[Any] = tokens.astype(f">u{width}").view(np.uint8)
    if width < 4 or int(tokens[tokens != np.iinfo(tokens.dtype).max].max(initial=0)) >= 0xFFFFFF:
        return data, width
    return np.ascontiguousarray(data.reshape(-1, 4)[:, 1:]).ravel(), 3
