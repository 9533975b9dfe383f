"""One encoder for many callers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from services.retrieval.encoders.base import Encoder

_TEXTS_AT_ONCE = 16


class SerialEncoder:
    """Encodes for one caller at a time, first come, first served, a few texts at a turn.

    Encoders use all the cores they may: two at once would only slow each other down. And a caller with thousands of
    texts makes another wait for one turn only.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.card = encoder.card
        self.count = encoder.count
        self._encoder = encoder
        self._turns = ThreadPoolExecutor(1, thread_name_prefix="encoder")

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """As Encoder.encode."""
        return self._in_turns(self._encoder.encode, texts, progress)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As Encoder.encode_queries."""
        return self._in_turns(self._encoder.encode_queries, texts)

    def encode_alone(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As Encoder.encode_alone."""
        return self._in_turns(self._encoder.encode_alone, texts)

    def _in_turns(
        self,
        encode: Callable[[Sequence[str]], NDArray[np.float32]],
        texts: Sequence[str],
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        vectors = np.empty((len(texts), self.card.dimension), np.float32)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            turn = texts[start : start + _TEXTS_AT_ONCE]
            vectors[start : start + len(turn)] = self._turns.submit(encode, turn).result()
            if progress:
                progress(start + len(turn))
        return vectors
