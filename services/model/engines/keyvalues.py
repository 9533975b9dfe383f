"""Keys and values of a batch of sequences of different lengths, aligned at their right ends.

One tensor that grows now and then, instead of a concatenation at every step: at 1,000 tokens and five sequences
that concatenation copies 115 MB for each token of a small model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

ROOM = 128
"""Slots to reserve at a time for tokens to come."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What one token's keys and values are: (layers, 2, heads, dim) numbers of `dtype`."""

    layers: int
    heads: int
    dim: int
    dtype: torch.dtype

    def zeros(self, rows: int, slots: int) -> Tensor:
        """(layers, 2, rows, heads, slots, dim). Zero, not empty: 0 times what memory held may be NaN."""
        return torch.zeros(self.layers, 2, rows, self.heads, slots, self.dim, dtype=self.dtype)

    @property
    def bytes_per_token(self) -> int:
        """Memory of one token of one sequence."""
        return self.layers * 2 * self.heads * self.dim * self.dtype.itemsize


class KeyValues:
    """Keys and values of `len(starts)` sequences; sequence i fills slots starts[i] .. end."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.starts: list[int] = []
        self.end = 0
        self._store = shape.zeros(0, 0)
        self._cache = Cache(layers=[_Layer(self, layer) for layer in range(shape.layers)])

    @property
    def begin(self) -> int:
        """The first slot that any sequence uses."""
        return min(self.starts, default=self.end)

    @property
    def length(self) -> int:
        """Slots in use: the tokens of the longest sequence."""
        return self.end - self.begin

    def lengths(self) -> list[int]:
        """Tokens of each sequence."""
        return [self.end - start for start in self.starts]

    def add(self, prompt: Tensor, copies: int = 1, room: int = ROOM) -> None:
        """Add `copies` sequences of `prompt`, (layers, 2, heads, tokens, dim), with `room` tokens to come."""
        tokens, first = prompt.shape[3], len(self.starts)
        self._reserve(first + copies, max(tokens, self.length), room)
        start, rows = self.end - tokens, self._store[:, :, first : first + copies]
        rows[..., :start, :] = 0
        rows[..., start : self.end, :] = prompt.unsqueeze(2)
        self.starts.extend([start] * copies)

    def remove(self, row: int) -> None:
        """Remove a sequence; the last one takes its row. The memory goes with the last of all."""
        last = len(self.starts) - 1
        if row != last:
            self._store[:, :, row, :, : self.end] = self._store[:, :, last, :, : self.end]
            self.starts[row] = self.starts[last]
        self.starts.pop()
        if not self.starts:
            self._store, self.end = self.shape.zeros(0, 0), 0

    def appending(self, tokens: int) -> Cache:
        """The cache of a forward pass that appends `tokens` tokens to every sequence; then call `advance`."""
        if self.end + tokens > self._store.shape[4]:
            self._reserve(len(self.starts), self.length, tokens + ROOM)
        return self._cache

    def advance(self, tokens: int) -> None:
        """The forward pass has written `tokens` tokens."""
        self.end += tokens

    def visible(self) -> Tensor:
        """Attention mask of a pass that appends one token: (sequences, 1, 1, slots) bool, False at padding."""
        slots = torch.arange(self.begin, self.end + 1)
        return (slots >= torch.tensor(self.starts).unsqueeze(1))[:, None, None]

    def sequence(self, row: int) -> Tensor:
        """A sequence's keys and values, a view: (layers, 2, heads, tokens, dim)."""
        return self._store[:, :, row, :, self.starts[row] : self.end]

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put a layer's new keys and values, (rows, heads, tokens, dim), after the old; returns all of them."""
        rows, begin, end = len(self.starts), self.begin, self.end + keys.shape[2]
        store = self._store[layer]
        store[0, :rows, :, self.end : end] = keys
        store[1, :rows, :, self.end : end] = values
        return store[0, :rows, :, begin:end], store[1, :rows, :, begin:end]

    def _reserve(self, rows: int, used: int, room: int) -> None:
        """Make place for `rows` sequences, `used` slots before `end` and `room` after it."""
        if rows <= self._store.shape[2] and used <= self.end <= self._store.shape[4] - room:
            return
        old, begin, end, count = self._store, self.begin, self.end, len(self.starts)
        self._store = self.shape.zeros(rows, used + room)
        shift = used - end
        self._store[:, :, :count, :, begin + shift : used] = old[:, :, :count, :, begin:end]
        self.starts = [start + shift for start in self.starts]
        self.end = used


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer of `KeyValues` as transformers' attention sees it."""

    is_sliding = False

    def __init__(self, parent: KeyValues, layer: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._parent, self._index = parent, layer
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: the parent holds the memory."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return self._parent.write(self._index, key_states, value_states)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._parent.length + query_length, 0

    def get_seq_length(self) -> int:
        return self._parent.length

    def get_max_length(self) -> int:
        return -1
