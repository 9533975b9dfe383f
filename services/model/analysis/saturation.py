"""Router saturation: how much of a router's final choice an earlier checkpoint already makes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def saturation(chosen: NDArray[np.int64], final: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over tokens of |E_t and E_T| / |E_T|, (layers,), in 0 to 1.

    E_t and E_T are the sets of experts chosen for a token by a checkpoint and by the final one, |E_T| = k:
    `chosen` and `final` are both (tokens, layers, k) over the same tokens, the most probable expert first, -1 in a
    slot that none filled, which counts on neither side. Slice [..., :1] for the saturation of the first choice.
    Chance is k / experts. Raises ValueError when the shapes differ or there is no token.
    Source: OLMoE (Muennighoff et al. 2024), section 5.1.
    """
    if chosen.shape != final.shape or not len(final):
        raise ValueError(f"choices of the same tokens are compared, not {chosen.shape} with {final.shape}")
    filled = final >= 0
    kept = ((chosen[..., :, None] == final[..., None, :]) & filled[..., None, :]).sum(axis=(-1, -2))
    shares: NDArray[np.float64] = (kept / filled.sum(axis=-1)).mean(axis=0)
    return shares
