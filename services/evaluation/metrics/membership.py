"""Attacks that say of a text whether a model was trained on it, from the log-probabilities of its tokens.

Every score is lower for a member. `logprobs` is (tokens,), log p of each token given those before it, in nats.
Definitions as in MIMIR (Duan et al. 2024) and the papers named. GradNorm is the norm that /v1/score tells, as it is: a
member's loss is flatter, and MIMIR's code negates the norm as if it were steeper.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

SHARE = 0.2
"""Of a text's tokens, the least probable, that Min-K% takes."""

DEVIATION = 1e-6
"""Nats: the least sigma of Min-K%++, for a token after which the model is sure."""

CAP = 0.01
"""Of one token in DC-PDD: a few probable ones would else decide alone."""


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


def min_k_plus_plus(
    logprobs: Sequence[float], means: Sequence[float], variances: Sequence[float], share: float = SHARE
) -> float:
    """Min-K% of (log p - mu) / sigma, of log p under the model's own next-token distribution (Zhang et al. 2025).

    `means` and `variances` are mu and sigma squared at each token. Sigma is at least DEVIATION. Raises ValueError for
    no token.
    """
    together = zip(logprobs, means, variances, strict=True)
    return loss(
        _lowest([(one - mean) / max(math.sqrt(variance), DEVIATION) for one, mean, variance in together], share)
    )


def reference(own: float, other: float) -> float:
    """The loss less that of a reference model (Carlini et al. 2021): what is easy for anyone counts less."""
    return own - other


def neighbourhood(own: float, neighbours: Sequence[float]) -> float:
    """The loss less the mean loss of texts like it (Mattern et al. 2023).

    The mean, as the paper has it; MIMIR's code takes the minimum. Raises ValueError without neighbours.
    """
    if len(neighbours) == 0:
        raise ValueError("a text without neighbours cannot be compared with them")
    return own - float(np.mean(neighbours))


def recall(own: float, after_prefix: float) -> float:
    """Minus the loss after a prefix of non-members over the loss without (ReCaLL, Xie et al. 2024).

    A prefix that the model does not know disturbs what it knows more than what it does not. The prefix must not be of
    the texts that are judged, as it is in MIMIR's code. Raises ValueError for a loss of 0.
    """
    if own == 0.0:
        raise ValueError("a text that the model is sure of has no relative likelihood")
    return -after_prefix / own


def dc_pdd(
    tokens: Sequence[int], logprobs: Sequence[float], counts: Mapping[int, int], total: int, vocabulary: int
) -> float:
    """Minus the mean of min(p ln(1 / f), CAP) over the first occurrence of each token (DC-PDD, Zhang et al. 2024).

    `tokens[t]` has `logprobs[t]`. f is the token's frequency in a reference corpus, of which it is `counts` of `total`,
    with one added for each of the `vocabulary`. Raises ValueError for no token.
    """
    first: dict[int, float] = {}
    for token, logprob in zip(tokens, logprobs, strict=True):
        first.setdefault(token, logprob)
    if not first:
        raise ValueError("a text of less than two tokens has no likelihood")
    scores = [
        min(math.exp(logprob) * math.log((total + vocabulary) / (counts.get(token, 0) + 1)), CAP)
        for token, logprob in first.items()
    ]
    return -float(np.mean(scores))


def _lowest(values: Sequence[float], share: float) -> list[float]:
    return sorted(values)[: max(1, int(share * len(values)))]
