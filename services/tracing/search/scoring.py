"""BM25 of stretches of tokens, in numba; a file of its own, since it calls nothing that is compiled elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.tracing.search.arrays import Numbers
from services.tracing.search.kernels import compiled
from services.tracing.tokenizer import Ids

Floats = NDArray[np.float64]


@compiled
def bm25(tokens: Ids, bounds: Numbers, slots: NDArray[np.int32], weights: Floats, norms: Floats) -> Floats:
    """The scores of the stretches [first, last) of `bounds` (stretches, 2); (stretches,) float64.

    `slots` (vocabulary,): the number of the query's term that each token is, or -1. `weights` (terms,): what a term
    counts for, k1 + 1 included. `norms` (longest + 1,): k1 with the length's part in it, by length.
    """
    scores = np.zeros(bounds.shape[0])
    times = np.zeros(weights.size, dtype=np.int64)
    for stretch in range(bounds.shape[0]):
        times[:] = 0
        for position in range(bounds[stretch, 0], bounds[stretch, 1]):
            slot = slots[tokens[position]]
            if slot >= 0:
                times[slot] += 1
        norm = norms[bounds[stretch, 1] - bounds[stretch, 0]]
        for slot in range(weights.size):
            if times[slot]:
                scores[stretch] += weights[slot] * times[slot] / (times[slot] + norm)
    return scores
