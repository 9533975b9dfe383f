"""Perplexity on held-out text, with bootstrap intervals over whole documents."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.heldout import Heldout

RESAMPLES = 4000


@dataclass(frozen=True)
class Scores:
    """How well a model predicts a held-out text, document by document."""

    nll: NDArray[np.float64]
    """(documents,), summed negative log-likelihood in nats."""
    tokens: NDArray[np.int64]
    """(documents,), scored tokens."""

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood of a token, over all documents."""
        return float(np.exp(self.nll.sum() / self.tokens.sum()))

    def interval(self) -> tuple[float, float]:
        """95% bootstrap interval of the perplexity, resampling documents."""
        means = _resampled(self.nll, self.tokens)
        low, high = np.exp(np.quantile(means, [0.025, 0.975]))
        return float(low), float(high)


@dataclass(frozen=True)
class Change:
    """The relative change of perplexity from one model to another on the same documents; -0.2 is 20% lower."""

    mean: float
    low: float
    high: float
    """95% interval of the paired bootstrap over documents."""

    @property
    def lower(self) -> bool:
        """Whether the second model's perplexity is lower beyond chance (the whole interval below 0)."""
        return self.high < 0


def change(before: Scores, after: Scores) -> Change:
    """Compare two models' scores of the same documents, pairing them document by document."""
    if not np.array_equal(before.tokens, after.tokens):
        raise ValueError("The two models did not score the same documents.")
    difference = after.nll - before.nll
    means = np.expm1(_resampled(difference, before.tokens))
    low, high = np.quantile(means, [0.025, 0.975])
    return Change(float(np.expm1(difference.sum() / before.tokens.sum())), float(low), float(high))


@torch.no_grad()
def score(model: CausalLM, heldout: Heldout, batch: int = 8) -> Scores:
    """Score every window of ``heldout``; the model is used as it is (dtype, experts, eval mode)."""
    nll = np.zeros(heldout.documents)
    tokens = np.zeros(heldout.documents, dtype=np.int64)
    # Windows of like length together: less padding to compute.
    order = sorted(range(len(heldout.windows)), key=lambda i: len(heldout.windows[i]))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        # Padding is on the right, where no scored token can attend to it.
        padded = pad_sequence([heldout.windows[i] for i in chosen], batch_first=True)
        states = model.model(input_ids=padded, use_cache=False).last_hidden_state
        for row, i in enumerate(chosen):
            window = heldout.windows[i]
            nll[heldout.document[i]] += _nll(model, states[row, : len(window) - 1], window[1:])
            tokens[heldout.document[i]] += len(window) - 1
    return Scores(nll, tokens)


def _nll(model: CausalLM, states: Tensor, targets: Tensor) -> float:
    logits = (states @ model.lm_head.weight.T).float()
    return float((logits.logsumexp(-1) - logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)).sum())


def _resampled(values: NDArray[np.float64], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Token-weighted means of ``values`` over RESAMPLES draws of documents with replacement."""
    draws = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    means: NDArray[np.float64] = values[draws].sum(1) / tokens[draws].sum(1)
    return means
