"""Scores of whole sequences, batched, each under its own mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from services.model.engines.base import Score, ScoreTask, TopTokens
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.sampling import top

_BATCH_TOKENS = 512
"""Padded tokens of one forward pass: running samples wait for it."""

_ROWS = 128
"""Positions whose distributions over the vocabulary are in memory at once."""


def score_in_batches(checkpoint: Checkpoint, tasks: Sequence[ScoreTask]) -> Iterator[list[tuple[int, Score]]]:
    """Score each task; yields (its place, its score) a batch at a time, so that other work can go between."""
    batch: list[int] = []
    # by length, so that little is padded
    for place in sorted(range(len(tasks)), key=lambda place: len(tasks[place].tokens)):
        if batch and (len(batch) + 1) * len(tasks[place].tokens) > _BATCH_TOKENS:
            yield list(zip(batch, _score(checkpoint, [tasks[i] for i in batch]), strict=True))
            batch = []
        batch.append(place)
    if batch:
        yield list(zip(batch, _score(checkpoint, [tasks[i] for i in batch]), strict=True))


def _score(checkpoint: Checkpoint, tasks: Sequence[ScoreTask]) -> list[Score]:
    longest = max(len(task.tokens) for task in tasks)
    tokens = torch.zeros(len(tasks), longest, dtype=torch.long)
    for row, task in enumerate(tasks):
        # padded at the right, which causal attention never sees
        tokens[row, : len(task.tokens)] = torch.tensor(task.tokens)
    rows = checkpoint.mask.rows(checkpoint.allowed([task.allowed for task in tasks]), longest)
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
    for states, wanted in zip(torch.split(hidden, _ROWS), torch.split(targets, _ROWS), strict=True):
        distributions = checkpoint.logits(states).log_softmax(dim=-1)
        variance, mean = torch.var_mean(distributions, dim=-1, correction=0)
        logprobs += distributions.gather(1, wanted.unsqueeze(1)).squeeze(1).tolist()
        means += mean.tolist()
        variances += variance.tolist()
        best += [top(distribution, candidates) for distribution in distributions]
    return logprobs, means, variances, best
