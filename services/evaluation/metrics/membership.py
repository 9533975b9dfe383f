"""Attacks that say of a text whether a model was trained on it, from the log-probabilities of its tokens.

Every score is lower for a member. `logprobs` is (tokens,), log p of each token given those before it, in nats.
Definitions as in MIMIR (Duan et al. 2024) and the papers named.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

SHARE = 0.2
"""Of a text's tokens, the least probable, that Min-K% takes."""


def loss(logprobs: Sequence[float]) -> float:
    """The mean negative log-likelihood a token (Yeom et al. 2018). Raises ValueError for no token."""
    if len(logprobs) == 0:
        raise ValueError("a text of less than two tokens has no likelihood")
    return -float(np.mean(logprobs))


def zlib_ratio(logprobs: Sequence[float], text: str) -> float:
    """The loss over the bytes of the text as zlib compresses it (Carlini et al. 2021): what is easy to say counts less.

    Raises ValueError for no token.
    """
    return loss(logprobs) / len(zlib.compress(text.encode("utf-8", "surrogatepass")))


def min_k(logprobs: Sequence[float], share: float = SHARE) -> float:
    """The mean negative log-likelihood of the least probable `share` of the tokens (Min-K% Prob, Shi et al. 2024).

    Rounded down, but at least of one token. Raises ValueError for no token.
    """
    return loss(_lowest(logprobs, share))


def _lowest(values: Sequence[float], share: float) -> list[float]:
    return sorted(values)[: max(1, int(share * len(values)))]
