"""The routing of whole requests, layer by layer, for analyses: kept in the worker until it is asked for.

A request with ``extra_args["routing"] = KEY`` is traced; its tokens are never taken from the prefix cache. When it has
ended, ``collective_rpc("take_routing", args=(KEY,))`` gives what was traced, once. Eager execution only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

FIELD = "routing"
LIMIT = 64
"""Traces that are kept at a time: what nobody comes for makes room for what is new."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a step that belongs to a traced request: `count` tokens from row `row`, at `position` of its own."""

    key: str
    row: int
    count: int
    position: int


@dataclass(slots=True)
class Traces:
    """Traces by key. `layers` is filled by the routers while a step runs, if anything in it is traced."""

    layers: list[tuple[torch.Tensor, torch.Tensor]] | None = None
    _pieces: Sequence[Piece] = ()
    _found: OrderedDict[str, list[tuple[torch.Tensor, torch.Tensor]]] = field(default_factory=OrderedDict)

    def begin(self, pieces: Sequence[Piece]) -> None:
        """A step is about to run."""
        self._pieces = pieces
        self.layers = [] if pieces else None

    def end(self) -> None:
        """It has run: keep what belongs to traced requests."""
        if not self.layers:
            return
        probabilities = torch.stack([each for each, _ in self.layers], dim=1)
        experts = torch.stack([each for _, each in self.layers], dim=1)
        for piece in self._pieces:
            if piece.position == 0:  # new, or preempted and computed again
                self._found[piece.key] = []
                while len(self._found) > LIMIT:
                    self._found.popitem(last=False)
            if piece.key in self._found:
                rows = slice(piece.row, piece.row + piece.count)
                self._found[piece.key].append((probabilities[rows].cpu(), experts[rows].cpu()))
        self.layers, self._pieces = None, ()

    def take(self, key: str) -> tuple[list[list[list[float]]], list[list[list[int]]]]:
        """(tokens, layers, experts) probabilities and (tokens, layers, k) chosen experts, of prompt and answer.

        The answer's last token has none: it was never computed on. A slot that a mask left over repeats the best
        expert. Raises KeyError for a key that was not traced, was taken, or made room for others.
        """
        pieces = self._found.pop(key)
        return torch.cat([each for each, _ in pieces]).tolist(), torch.cat([each for _, each in pieces]).tolist()
