"""Suffix sorting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydivsufsort import divsufsort

from services.tracing.tokenizer import Ids

MAX_TOKENS = 1 << 28
"""Tokens sorted at once at most: the sorter counts bytes in 31 bits, and tokens are up to 4 bytes wide."""


def suffix_array(tokens: Ids) -> NDArray[np.uint32]:
    """Positions of `tokens` that are not separators (the largest id of the dtype), in the order of their suffixes.

    Documents end with a separator, which sorts last: suffixes that begin with it are the end of the array and
    are cut off. Raises ValueError past MAX_TOKENS.
    """
    if tokens.size > MAX_TOKENS:
        raise ValueError(f"{tokens.size} tokens in a segment; at most {MAX_TOKENS} can be sorted in one")
    separators = int(np.count_nonzero(tokens == np.iinfo(tokens.dtype).max))
    order = divsufsort(np.ascontiguousarray(tokens))
    return np.asarray(order[: tokens.size - separators], dtype=np.uint32)


def first_ranks(tokens: Ids, vocabulary: int) -> NDArray[np.uint32]:
    """The first rank of each token id, (vocabulary + 1,): its differences are how often each token occurs."""
    counts = np.bincount(tokens[tokens != np.iinfo(tokens.dtype).max], minlength=vocabulary)
    return np.concatenate(([0], np.cumsum(counts))).astype(np.uint32)
