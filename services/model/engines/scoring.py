"""Scores of whole sequences, each under its own mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from services.model.engines.base import Score, ScoreTask
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.gradients import gradient_norm
from services.model.engines.sampling import top
from services.model.engines.sequences import laid_out

_ROWS = 128
"""Positions whose distributions over the vocabulary are in memory at once."""


def score(checkpoint: Checkpoint, tasks: Sequence[ScoreTask]) -> list[Score]:
    """Score sequences in one forward pass, and a backward pass for each that wants its gradient."""
    tokens, rows = laid_out(checkpoint, tasks)
    hidden, routing = checkpoint.hidden(tokens, rows)
    scores = []
    for row, task in enumerate(tasks):
        count = len(task.tokens)
        (shares,) = checkpoint.by_number(routing[row, :count].mean(dim=0, keepdim=True))
        found = _positions(checkpoint, hidden[row, : count - 1], tokens[row, 1:count], task, shares)
        # a text of one token has no loss, and so no gradient
        wanted = task.gradient and count > 1
        scores.append(replace(found, gradient=gradient_norm(checkpoint, task)) if wanted else found)
    return scores


def _positions(
    checkpoint: Checkpoint, hidden: Tensor, targets: Tensor, task: ScoreTask, shares: dict[int, float]
) -> Score:
    """Log p of each target, its moments over the vocabulary, and the most probable tokens."""
    found = Score([], [], [], [], shares, *(([], []) if task.own else (None, None)))
    # not torch.split, which gives a part also of the nothing that a text of one token has to score
    for begin in range(0, len(targets), _ROWS):
        wanted = targets[begin : begin + _ROWS]
        distributions = checkpoint.logits(hidden[begin : begin + _ROWS]).log_softmax(dim=-1)
        variance, mean = torch.var_mean(distributions, dim=-1, correction=0)
        found.logprobs.extend(distributions.gather(1, wanted.unsqueeze(1)).squeeze(1).tolist())
        found.means.extend(mean.tolist())
        found.variances.extend(variance.tolist())
        found.top.extend(top(distribution, task.top) for distribution in distributions)
        if found.own_means is not None and found.own_variances is not None:
            own_mean, own_variance = _own(distributions)
            found.own_means.extend(own_mean.tolist())
            found.own_variances.extend(own_variance.tolist())
    return found


def _own(distributions: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of log p under p, each (rows,), from (rows, vocabulary)."""
    # what has no probability adds nothing to either, though its log is -inf
    logs = distributions.clamp(min=torch.finfo(distributions.dtype).min)
    weights = distributions.exp()
    mean = (weights * logs).sum(dim=-1)
    # centred first: the mean of squares less the square of the mean would lose a small variance to rounding
    return mean, (weights * (logs - mean.unsqueeze(-1)).square()).sum(dim=-1)
