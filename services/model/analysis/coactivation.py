"""Expert co-activation: which experts compute the same tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pair_counts(computed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """N_ij, (layers, experts, experts): tokens for which both i and j were chosen; N_ii = N_i.

    `computed`: (tokens, layers, experts). All pairs of the experts chosen for a token count, not only neighbours in
    the order of their probability, which is what OLMoE's own script counts.
    """
    # as floats a matrix product is fast, and exact up to 2^53 tokens
    by_layer = computed.astype(np.float64).transpose(1, 0, 2)
    return (by_layer.transpose(0, 2, 1) @ by_layer).astype(np.int64)


def co_activation(pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """N_ij / N_i, (layers, experts, experts): of the tokens of expert i (row), the share that j computed too.

    The diagonal is 1; a row is NaN when no token chose its expert. For k experts a token a row sums to k.
    Source: OLMoE (Muennighoff et al. 2024), section 5.2.
    """
    own = np.diagonal(pairs, axis1=-2, axis2=-1).astype(np.float64)[..., None]
    shares = np.full(pairs.shape, np.nan)
    np.divide(pairs, own, out=shares, where=own > 0)
    return shares
