"""Choosing the next token of each sequence of a batch, each by its own parameters and its own random numbers."""

from __future__ import annotations

import random
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from services.model.engines.base import Sampling, TopTokens

_NUCLEUS = 256
"""Most nuclei fit into this many tokens; sorting the whole vocabulary costs milliseconds."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is reported of a step's tokens, all under the model's own distribution (temperature 1, no bias).

    `logprobs`, `means`: log p of the chosen token, and the mean of log p over the vocabulary, in nats.
    `top`: the most probable tokens of each sequence that asked for them, best first.
    """

    tokens: list[int]
    logprobs: list[float]
    means: list[float]
    top: list[TopTokens]


def random_numbers(seed: int | None, choice: int) -> random.Random:
    """A sequence's own random numbers: the same for a seed and choice, whatever else is in the batch."""
    return random.Random(f"{seed}/{choice}" if seed is not None else secrets.token_bytes(16))


def choose(
    logits: Tensor,
    sampling: Sequence[Sampling],
    numbers: Sequence[random.Random],
    blocked: Sequence[Collection[int]] = (),
) -> Statistics:
    """Choose a token for each row of `logits`, (sequences, vocabulary) of any float dtype.

    `blocked`: of each row, the tokens that may not be chosen; of none when empty.
    """
    logits = logits.float()
    logprobs = logits.log_softmax(dim=-1)
    biased = _without(_biased(logits, sampling), blocked)
    tokens = biased.argmax(dim=-1)
    for row, (parameters, generator) in enumerate(zip(sampling, numbers, strict=True)):
        if parameters.temperature > 0:
            tokens[row] = _draw(biased[row] / parameters.temperature, parameters.top_p, generator.random())
    chosen = logprobs.gather(1, tokens.unsqueeze(1)).squeeze(1)
    return Statistics(
        tokens.tolist(),
        chosen.tolist(),
        logprobs.mean(dim=-1).tolist(),
        [top(logprobs[row], parameters.top_logprobs) for row, parameters in enumerate(sampling)],
    )


def top(logprobs: Tensor, count: int) -> TopTokens:
    """The `count` most probable tokens of one distribution, (vocabulary,), best first."""
    if not count:
        return []
    values, tokens = logprobs.topk(min(count, len(logprobs)))
    return list(zip(tokens.tolist(), values.tolist(), strict=True))


def _biased(logits: Tensor, sampling: Sequence[Sampling]) -> Tensor:
    if not any(parameters.logit_bias for parameters in sampling):
        return logits
    biased = logits.clone()
    for row, parameters in enumerate(sampling):
        for token, bias in parameters.logit_bias.items():
            biased[row, token] += bias
    return biased


def _without(logits: Tensor, blocked: Sequence[Collection[int]]) -> Tensor:
    if not any(blocked):
        return logits
    left = logits.clone()
    for row, tokens in enumerate(blocked):
        left[row, list(tokens)] = -torch.inf
    return left


def _draw(logits: Tensor, top_p: float, number: float) -> int:
    """The token at `number` in [0, 1) of the distribution function, cut to the nucleus of mass `top_p`."""
    probabilities = logits.softmax(dim=-1)
    if top_p >= 1:
        return _at(probabilities, number)
    nucleus, tokens = probabilities.topk(min(_NUCLEUS, len(probabilities)))
    if float(nucleus.sum()) < top_p:
        nucleus, tokens = probabilities.sort(descending=True)
    # the smallest set of tokens whose mass reaches top_p: up to and with the first that passes it
    kept = int((nucleus.cumsum(dim=-1) < top_p).sum()) + 1
    return int(tokens[_at(nucleus[:kept], number)])


def _at(probabilities: Tensor, number: float) -> int:
    # in double precision: in single, the tail of a large vocabulary is lost to rounding
    distribution = probabilities.double().cumsum(dim=-1)
    index = int(torch.searchsorted(distribution, number * float(distribution[-1]), right=True))
    return min(index, len(probabilities) - 1)
