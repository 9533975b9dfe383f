"""Ensembles of models: the outputs of all of them, each run in full, mixed token by token.

An ensemble's probability of a token is a weighted mean of its models', so it follows from what each model gave the
tokens of the text. It costs as many forward passes as it has models.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.model.flexolmo.likelihood import LogProbs


def mean_of_models(models: Sequence[LogProbs]) -> LogProbs:
    """The log of the mean of the models' probabilities, for each sequence."""
    return [_log_mean(np.stack(each)) for each in zip(*models, strict=True)]


def posterior_weighted(models: Sequence[LogProbs]) -> LogProbs:
    """The same with weights: how likely each model found the text so far, all being equal at its start.

    The posterior of the domain given the prefix, with a uniform prior. Source: DEMix (Gururangan et al. 2022).
    """
    return [_posterior(np.stack(each)) for each in zip(*models, strict=True)]


def _log_mean(logprobs: NDArray[np.float32]) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = np.logaddexp.reduce(logprobs, axis=0) - np.log(len(logprobs))
    return mean.astype(np.float32)


def _posterior(logprobs: NDArray[np.float32]) -> NDArray[np.float32]:
    # with weights p_i(prefix), the mixture's probability of a token is p(prefix and token) / p(prefix)
    until = np.cumsum(logprobs.astype(np.float64), axis=1)
    whole = np.logaddexp.reduce(until, axis=0) - np.log(len(logprobs))
    each: NDArray[np.float64] = np.diff(whole, prepend=0.0)
    return each.astype(np.float32)
