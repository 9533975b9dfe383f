"""The routing of all texts of a domain, token after token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.model.engines.base import Routing


@dataclass(frozen=True, slots=True, eq=False)
class Routed:
    """The tokens of several texts and where they were routed, one row a token.

    `inputs`, `following`, `predicted`: (tokens,) int64, the token routed, the one after it (-1 at a text's end), and
    the one the model would say next. `probabilities`: (tokens, layers, experts) fp32. `chosen`: (tokens, layers, k)
    numbers of experts, -1 in an empty slot. `experts`: the numbers of the columns of `probabilities`.
    """

    texts: int
    inputs: NDArray[np.int64]
    following: NDArray[np.int64]
    predicted: NDArray[np.int64]
    experts: tuple[int, ...]
    probabilities: NDArray[np.float32]
    chosen: NDArray[np.int64]


def routed(texts: Sequence[Sequence[int]], routings: Sequence[Routing]) -> Routed:
    """Join the routings of texts given as tokens. Raises ValueError for none, or one routed without `predict`."""
    predicted = [routing.predicted for routing in routings if routing.predicted is not None]
    if not texts or len(predicted) != len(texts):
        raise ValueError("an analysis needs at least one text, and the predictions of each")
    return Routed(
        texts=len(texts),
        inputs=np.concatenate([np.asarray(tokens, dtype=np.int64) for tokens in texts]),
        following=np.concatenate([np.asarray([*tokens[1:], -1], dtype=np.int64) for tokens in texts]),
        predicted=np.concatenate(predicted),
        experts=routings[0].experts,
        probabilities=np.concatenate([routing.probabilities for routing in routings]),
        chosen=np.concatenate([routing.chosen for routing in routings]),
    )
