"""Routing of whole sequences: what the routers gave each expert, and which experts computed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from services.model.engines.base import RouteTask, Routing
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.sequences import laid_out

_ROWS = 128
"""Positions whose logits over the vocabulary are in memory at once."""


def route(checkpoint: Checkpoint, tasks: Sequence[RouteTask]) -> list[Routing]:
    """Route sequences in one forward pass."""
    tokens, rows = laid_out(checkpoint, tasks)
    hidden, probabilities, chosen = checkpoint.routed(tokens, rows)
    # as wide as the model's k, whatever masks are in the batch
    chosen = functional.pad(chosen, (0, checkpoint.info.active - chosen.shape[-1]), value=-1)
    numbers = checkpoint.places.numbers
    by_number = torch.tensor(numbers)
    chosen = torch.where(chosen < 0, chosen, by_number[chosen.clamp(min=0)])
    found = []
    for row, task in enumerate(tasks):
        count = len(task.tokens)
        # copies: a view would keep the whole batch, padding and all, for as long as any sequence of it
        found.append(
            Routing(
                numbers,
                probabilities[:, row, :count].transpose(0, 1).contiguous().numpy(),
                chosen[:, row, :count].transpose(0, 1).contiguous().numpy(),
                _predicted(checkpoint, hidden[row, :count]).numpy() if task.predict else None,
            )
        )
    return found


def _predicted(checkpoint: Checkpoint, hidden: Tensor) -> Tensor:
    """(positions,) int64, the most probable next token."""
    return torch.cat([checkpoint.logits(states).argmax(dim=-1) for states in torch.split(hidden, _ROWS)])
