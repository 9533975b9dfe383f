"""What an owner trains of a matrix: a change to the frozen public weight, of low rank or full."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PROJECTIONS = ("gate", "up", "down")
"""The three matrices of an FFN: down(silu(gate x) * up x)."""


class LowRankDelta(nn.Module):
    """A change of rank r to a matrix of shape (out, in): ``b @ a``, a (r, in), b (out, r), both fp32."""

    def __init__(self, outputs: int, inputs: int, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, inputs, generator=generator) / math.sqrt(inputs))
        # Zero, so that the untrained expert is the public expert.
        self.b = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out), in x's dtype."""
        return F.linear(F.linear(x, self.a.to(x.dtype)), self.b.to(x.dtype))

    def matrix(self) -> Tensor:
        """The delta itself, (out, in), fp32."""
        return self.b.detach() @ self.a.detach()


class FullDelta(nn.Module):
    """A change to every weight of a matrix of shape (out, in): ``d``, fp32, zero before training."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.d = nn.Parameter(torch.zeros(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out), in x's dtype."""
        return F.linear(x, self.d.to(x.dtype))

    def matrix(self) -> Tensor:
        """The delta itself, (out, in), fp32."""
        return self.d.detach()


Delta = LowRankDelta | FullDelta
NewDelta = Callable[[int, int], Delta]
"""Makes the delta of a matrix of (outputs, inputs)."""


def new_deltas(rank: int | None, seed: int) -> NewDelta:
    """Low-rank deltas whose first factors come from ``seed``, or full ones when ``rank`` is None."""
    if rank is None:
        return FullDelta
    generator = torch.Generator().manual_seed(seed)
    return lambda outputs, inputs: LowRankDelta(outputs, inputs, rank, generator)
