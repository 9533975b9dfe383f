"""MemFree decoding (Ippolito et al. 2022): no token may complete an n-gram of a protected text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

NGRAM = 10
"""Tokens; CopyBench's."""


class NgramFilter:
    """Every n-gram of token ids in some texts, to be asked which token would complete one.

    Exact: a hash finds the places, and the tokens there are compared. An n-gram lies within one text. 16 bytes a
    token.
    """

    def __init__(self, texts: Iterable[Sequence[int]], n: int = NGRAM) -> None:
        if n < 2:
            raise ValueError(f"an n-gram of {n} tokens has nothing before its last one")
        own = [np.asarray(text, dtype=np.int64) for text in texts]
        self._n = n
        self._tokens = np.concatenate([np.empty(0, dtype=np.int64), *own]).astype(np.int32)
        text = np.repeat(np.arange(len(own)), [len(one) for one in own])
        starts = np.arange(max(0, len(self._tokens) - n + 1))
        starts = starts[text[starts] == text[starts + n - 1]]
        hashes = self._hashes(starts)
        order = np.argsort(hashes, kind="stable")
        self._hashed, self._starts = hashes[order], starts[order].astype(np.int32)

    def __len__(self) -> int:
        """How many n-grams, each as often as it stands there."""
        return len(self._starts)

    @property
    def context(self) -> int:
        """How many tokens `blocked` looks at."""
        return self._n - 1

    def blocked(self, tokens: Sequence[int]) -> set[int]:
        """The tokens that after these would complete an n-gram of the texts; none after fewer than n - 1."""
        last = np.asarray(tokens[-self.context :], dtype=np.int64)
        if len(last) < self.context:
            return set()
        hashed = _hash(last[None, :])[0]
        first, end = np.searchsorted(self._hashed, hashed, "left"), np.searchsorted(self._hashed, hashed, "right")
        places = self._starts[first:end, None].astype(np.int64) + np.arange(self._n)
        found = self._tokens[places]
        return {int(one) for one in found[(found[:, :-1] == last).all(axis=1), -1]}

    def _hashes(self, starts: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Of the tokens before the last one of each n-gram, some at a time: all at once would be n times the memory."""
        pieces = [
            _hash(self._tokens[piece[:, None] + np.arange(self.context)].astype(np.int64))
            for piece in np.array_split(starts, max(1, len(starts) // 100_000))
        ]
        return np.concatenate(pieces)


def _hash(tokens: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A number for each row, (rows, n): a polynomial with an odd base modulo 2^64, mixed so that low bits count."""
    found = np.zeros(len(tokens), dtype=np.uint64)
    for column in tokens.T.astype(np.uint64):
        found = (found + column + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(29)
    return found
