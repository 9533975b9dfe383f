"""Which experts computed which tokens, as the analyses count them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def computed(chosen: NDArray[np.int64], experts: Sequence[int]) -> NDArray[np.bool_]:
    """(tokens, layers, experts): whether each of `experts`, by number, is among those chosen.

    `chosen`: (tokens, layers, k) numbers of experts, -1 in a slot that none filled.
    Raises ValueError when an expert was chosen that is not in `experts`: its tokens would go uncounted.
    """
    if missing := set(np.unique(chosen).tolist()) - {-1, *experts}:
        raise ValueError(f"expert {min(missing)} was chosen, and is not one of {list(experts)}")
    numbers = np.asarray(experts, dtype=np.int64)
    found = np.zeros((*chosen.shape[:2], len(numbers)), dtype=np.bool_)
    # slot by slot: the comparison of all slots at once would take k times the memory
    for slot in range(chosen.shape[2]):
        found |= chosen[:, :, slot, None] == numbers
    return found
