"""Experts that are the public FFN plus a change of low rank, computed as what they are.

A merged checkpoint holds every expert as a whole FFN, and a step of generation reads all that its batch goes to from
memory, which is most of its time. But x (W + B A)' = x W' + (x A') B': the products with the public matrices are the
same for every expert, so they are computed once for each token; and since the down projection is linear, it is
applied once, to the weighted mixture of the experts' inner states (as in training: flexolmo's owner blocks). An
expert then costs its rank: a few megabytes of memory, and a few percent of a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Factors:
    """An expert of rank r: what it adds to a layer's public FFN.

    `gate_up_a`: (2 r, hidden), the first factors of gate and up. `gate_b`, `up_b`: (width, r). `down_a`: (r, width).
    `down_b`: (hidden, r).
    """

    gate_up_a: Tensor
    gate_b: Tensor
    up_b: Tensor
    down_a: Tensor
    down_b: Tensor

    def shapes(self, hidden: int, width: int) -> dict[str, tuple[int, int]]:
        """What its tensors must be for such an FFN."""
        rank = len(self.down_a)
        return {
            "gate_up_a": (2 * rank, hidden),
            "gate_b": (width, rank),
            "up_b": (width, rank),
            "down_a": (rank, width),
            "down_b": (hidden, rank),
        }

    def inner(self, public: Tensor, hidden: Tensor) -> Tensor:
        """Its gate and up, (tokens, 2 width), from the public ones and what both read, (tokens, hidden)."""
        gate, up = functional.linear(hidden, self.gate_up_a).chunk(2, dim=-1)
        width = len(self.gate_b)
        # slices, not chunks: autograd lets several views of one call not be written to
        public[:, :width] += functional.linear(gate, self.gate_b)
        public[:, width:] += functional.linear(up, self.up_b)
        return public

    def beside(self, inner: Tensor) -> Tensor:
        """What its down projection adds to the public one's output, (tokens, hidden), from (tokens, width)."""
        return functional.linear(functional.linear(inner, self.down_a), self.down_b)


@dataclass(frozen=True, slots=True)
class Whole:
    """An expert with an FFN of its own, which shares nothing: `gate_up` (2 width, hidden), `down` (hidden, width)."""

    gate_up: Tensor
    down: Tensor

    def shapes(self, hidden: int, width: int) -> dict[str, tuple[int, int]]:
        """What its tensors must be for such an FFN."""
        return {"gate_up": (2 * width, hidden), "down": (hidden, width)}

    def inner(self, _: Tensor, hidden: Tensor) -> Tensor:
        """Its gate and up, (tokens, 2 width)."""
        return functional.linear(hidden, self.gate_up)

    def beside(self, inner: Tensor) -> Tensor:
        """Its output, (tokens, hidden): it takes its inner state out of what the public matrix multiplies."""
        out = functional.linear(inner, self.down)
        inner.zero_()
        return out


Change = Factors | Whole


class FactoredExperts(nn.Module):
    """Takes the place of transformers' fused experts in a layer. `changes`: of each expert, None for the public one.

    Nothing of an expert is computed for a token that does not go to it, so nothing of it can leak there, not even NaN.
    """

    def __init__(self, gate_up: Tensor, down: Tensor, changes: Sequence[Change | None]) -> None:
        """`gate_up`: (2 width, hidden) and `down`: (hidden, width), the public FFN with a SiLU gate."""
        super().__init__()
        self.gate_up = nn.Parameter(gate_up, requires_grad=False)
        self.down = nn.Parameter(down, requires_grad=False)
        self.changes = tuple(changes)

    def forward(self, hidden: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """(tokens, hidden) -> (tokens, hidden); `chosen` and `weights`, (tokens, k): the experts of each token."""
        width = self.down.shape[1]
        order = chosen.flatten().argsort(stable=True)
        tokens = order // chosen.shape[1]
        groups = list(self._groups(chosen))

        inner = functional.linear(hidden, self.gate_up)[tokens]
        for rows, change in groups:
            inner[rows] = change.inner(inner[rows], hidden[tokens[rows]])
        inner = functional.silu(inner[:, :width]) * inner[:, width:]
        inner *= weights.flatten()[order].unsqueeze(-1).to(inner.dtype)

        beside = hidden.new_zeros(len(order), hidden.shape[1])
        for rows, change in groups:
            beside[order[rows]] = change.beside(inner[rows])
        mixture = torch.empty_like(inner)
        mixture[order] = inner
        # summed choice by choice as the router ranks them: the same bits wherever an expert stands
        out = functional.linear(mixture.view(*chosen.shape, -1).sum(dim=1), self.down)
        return out + beside.view(*chosen.shape, -1).sum(dim=1)

    def _groups(self, chosen: Tensor) -> Iterator[tuple[slice, Change]]:
        """Of every changed expert that is chosen: its rows among the choices sorted by expert, and its change."""
        start = 0
        counts = chosen.flatten().bincount(minlength=len(self.changes)).tolist()
        for change, count in zip(self.changes, counts, strict=True):
            if change is not None and count:
                yield slice(start, start + count), change
            start += count
