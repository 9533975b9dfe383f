"""Scores of whole sequences, each under its own mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from services.model.engines.base import Score, ScoreTask, TopTokens
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.sampling import top
from services.model.engines.sequences import laid_out

_ROWS = 128
"""Positions whose distributions over the vocabulary are in memory at once."""


def score(checkpoint: Checkpoint, tasks: Sequence[ScoreTask]) -> list[Score]:
    """Score sequences in one forward pass."""
    tokens, rows = laid_out(checkpoint, tasks)
    hidden, routing = checkpoint.hidden(tokens, rows)
    scores = []
    for row, task in enumerate(tasks):
        count = len(task.tokens)
        statistics = _positions(checkpoint, hidden[row, : count - 1], tokens[row, 1:count], task.top)
        (shares,) = checkpoint.by_number(routing[row, :count].mean(dim=0, keepdim=True))
        scores.append(Score(*statistics, shares))
    return scores


def _positions(
    checkpoint: Checkpoint, hidden: Tensor, targets: Tensor, candidates: int
) -> tuple[list[float], list[float], list[float], list[TopTokens]]:
    """Log p of each target, mean and variance over the vocabulary, and the most probable tokens."""
    logprobs: list[float] = []
    means: list[float] = []
    variances: list[float] = []
    best: list[TopTokens] = []
    # not torch.split, which gives a part also of the nothing that a text of one token has to score
    for begin in range(0, len(targets), _ROWS):
        wanted = targets[begin : begin + _ROWS]
        distributions = checkpoint.logits(hidden[begin : begin + _ROWS]).log_softmax(dim=-1)
        variance, mean = torch.var_mean(distributions, dim=-1, correction=0)
        logprobs += distributions.gather(1, wanted.unsqueeze(1)).squeeze(1).tolist()
        means += mean.tolist()
        variances += variance.tolist()
        best += [top(distribution, candidates) for distribution in distributions]
    return logprobs, means, variances, best
