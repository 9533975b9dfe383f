"""Statistics of each token, carried to the client as log-probabilities of pseudo-tokens.

vLLM's worker returns for each token a row of (token id, log p): the token itself, then the most probable ones.
A request with ``extra_args["statistics"] = "1"`` gets, between them, pseudo-tokens whose negative ids no tokenizer
has and whose "log p" is a statistic of the distribution that the token was taken from:

    token itself | MEAN | VARIANCE | expert 0 | ... | expert E - 1 | top 1 | top 2 | ...

- MEAN, VARIANCE: of log p over the whole vocabulary, in nats and nats squared, of the model's raw distribution:
  temperature 1, before penalties, logit_bias, top-k and top-p.
- expert e: the router's probability of the expert, averaged over the layers, at the position whose output the
  distribution is; sums to 1 over the experts. FORBIDDEN where the mask that the worker laid for that position forbids
  the expert and it took no part.

Such a request asks for ``logprobs = columns(E) + top`` (and ``prompt_logprobs`` likewise) with
``detokenize=False``. Nothing here imports vLLM or torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

FIELD = "statistics"
MEAN = -1
VARIANCE = -2
_FIRST_EXPERT = -3
FORBIDDEN = -1.0
"""No probability: an expert that the worker's own mask excludes. One that took part all the same has its share."""


class HasLogprob(Protocol):
    """vLLM's ``Logprob``."""

    logprob: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a row says beside the token's own log p.

    `routing`: by expert, sums to 1. `allowed`: the experts that the worker's mask did not keep out. `top`: (token id,
    log p), most probable first; the token itself is among them even when it is not one of the most probable, so take
    as many as were asked for.
    """

    mean: float
    variance: float
    routing: tuple[float, ...]
    allowed: tuple[int, ...]
    top: tuple[tuple[int, float], ...]


def columns(experts: int) -> int:
    """How many entries of `logprobs` the statistics of a model with so many experts take."""
    return 2 + experts


def expert_column(expert: int) -> int:
    """The pseudo-token of an expert."""
    return _FIRST_EXPERT - expert


def pseudo_tokens(experts: int) -> list[int]:
    """The pseudo-tokens in the order of their columns."""
    return [MEAN, VARIANCE, *(expert_column(expert) for expert in range(experts))]


def split(row: Mapping[int, HasLogprob]) -> Statistics:
    """Take apart what vLLM reports at one position. Raises ValueError when it has no statistics."""
    try:
        mean, variance = row[MEAN].logprob, row[VARIANCE].logprob
    except KeyError:
        raise ValueError('no statistics here; the request needs extra_args["statistics"] = "1"') from None
    shares = [row[expert_column(expert)].logprob for expert in range(sum(token <= _FIRST_EXPERT for token in row))]
    top = sorted(((token, entry.logprob) for token, entry in row.items() if token >= 0), key=lambda pair: -pair[1])
    return Statistics(
        mean,
        variance,
        routing=tuple(0.0 if share == FORBIDDEN else share for share in shares),
        allowed=tuple(expert for expert, share in enumerate(shares) if share != FORBIDDEN),
        top=tuple(top),
    )
