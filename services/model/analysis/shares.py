"""Routing shares: how the routers' probability mass is divided among experts, and among their owners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shares:
    """Means of router probability; each sums to 1 over its last axis.

    `overall`: (experts,) over tokens and layers. `by_layer`: (layers, experts). `by_token`: (tokens, experts).
    """

    overall: Floats
    by_layer: Floats
    by_token: Floats


def routing_shares(probabilities: NDArray[np.float32]) -> Shares:
    """The shares of a sequence from its (tokens, layers, experts) router probabilities.

    Raises ValueError without a token.
    """
    if not len(probabilities):
        raise ValueError("no token has no routing")
    wide = probabilities.astype(np.float64)
    return Shares(wide.mean(axis=(0, 1)), wide.mean(axis=0), wide.mean(axis=1))


def summed(shares: Floats, names: Sequence[str | None]) -> dict[str, Floats]:
    """Shares summed over the columns of one name, such as an owner's: (..., experts) to (...) by name.

    `names[e]` is the name of column e; what a column without one takes is in no name's share.
    """
    found: dict[str, Floats] = {}
    for column, name in enumerate(names):
        if name is not None:
            found[name] = found.get(name, np.zeros(shares.shape[:-1])) + shares[..., column]
    return found
