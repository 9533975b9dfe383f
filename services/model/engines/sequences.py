"""Passes over whole sequences: which go together, and how they are laid out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from services.model.engines.checkpoint import Checkpoint
from services.model.flexolmo.mask import MaskRows

_BATCH_TOKENS = 512
"""Padded tokens of one forward pass: running samples wait for it."""


class SequenceTask(Protocol):
    """A sequence of tokens and the mask it is computed under."""

    @property
    def tokens(self) -> tuple[int, ...]:
        """At least one."""
        ...

    @property
    def allowed(self) -> frozenset[int]:
        """Numbers of the experts that may compute."""
        ...


Task = TypeVar("Task", bound=SequenceTask)
Result = TypeVar("Result")


def in_batches(
    tasks: Sequence[Task], compute: Callable[[Sequence[Task]], list[Result]]
) -> Iterator[list[tuple[int, Result]]]:
    """Compute each task; yields (its place, its result) a batch at a time, so that other work can go between."""
    batch: list[int] = []
    # by length, so that little is padded
    for place in sorted(range(len(tasks)), key=lambda place: len(tasks[place].tokens)):
        if batch and (len(batch) + 1) * len(tasks[place].tokens) > _BATCH_TOKENS:
            yield list(zip(batch, compute([tasks[i] for i in batch]), strict=True))
            batch = []
        batch.append(place)
    if batch:
        yield list(zip(batch, compute([tasks[i] for i in batch]), strict=True))


def laid_out(checkpoint: Checkpoint, tasks: Sequence[SequenceTask]) -> tuple[Tensor, MaskRows]:
    """The tasks as one batch: (sequences, longest) int64, padded at the right, and the mask of its rows."""
    longest = max(len(task.tokens) for task in tasks)
    tokens = torch.zeros(len(tasks), longest, dtype=torch.long)
    for row, task in enumerate(tasks):
        # padded at the right, which causal attention never sees
        tokens[row, : len(task.tokens)] = torch.tensor(task.tokens)
    return tokens, checkpoint.mask.rows(checkpoint.allowed([task.allowed for task in tasks]), longest)
