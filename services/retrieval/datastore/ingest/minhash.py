"""MinHash signatures and their bands: what finds documents that may be near-duplicates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore.ingest.grams import Grams

BANDS = 32
ROWS = 4
"""Two sets of Jaccard similarity s share a band with probability 1 - (1 - s^4)^32: at 0.8 all but one pair in twenty
million do, and at 0.3 every fourth. What shares a band is then compared exactly."""

_AT_ONCE = 4096
_random = np.random.default_rng(2025)
_factors = _random.integers(0, 1 << 64, BANDS * ROWS, np.uint64) | np.uint64(1)
_offsets = _random.integers(0, 1 << 64, BANDS * ROWS, np.uint64)
_mixers = _random.integers(0, 1 << 64, ROWS, np.uint64) | np.uint64(1)


def bands(grams: Grams) -> NDArray[np.uint64]:
    """(BANDS,) hashes of the bands of a set's signature; those of the empty set are all alike.

    Signature: the least of each of 128 hashes (multiply-shift, Dietzfelbinger et al. 1997) over the set (Broder 1997).
    """
    least = np.full(BANDS * ROWS, np.iinfo(np.uint32).max, np.uint64)
    for start in range(0, len(grams), _AT_ONCE):
        part = grams[start : start + _AT_ONCE, None] * _factors + _offsets
        np.minimum(least, (part >> np.uint64(32)).min(axis=0), out=least)
    mixed: NDArray[np.uint64] = (least.reshape(BANDS, ROWS) * _mixers).sum(axis=1, dtype=np.uint64)
    return mixed
