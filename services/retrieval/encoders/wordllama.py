"""The mean over static token vectors: no model runs, and a text takes microseconds (WordLlama)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.retrieval.encoders.card import Card

WEIGHTS = "weights/l2_supercat_256.safetensors"
TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
TOKENS = 1 << 16
"""At most, of a text: nothing in it needs a limit but memory."""


def folder() -> Path:
    """Where the package has its weights. Raises FileNotFoundError without the package."""
    # looked up, not imported: the package sets up the logging of whoever imports it
    found = find_spec("wordllama")
    if found is None or found.origin is None:
        raise FileNotFoundError("The encoder 'wordllama' is a package: run `pip install candor[wordllama]`.")
    return Path(found.origin).parent


class WordLlamaEncoder:
    """Safe to call from several threads."""

    def __init__(self, card: Card) -> None:
        """Load the vectors."""
        from safetensors.numpy import load_file  # noqa: PLC0415 (not needed to look the package up)
        from tokenizers import Tokenizer  # noqa: PLC0415

        (self._vectors,) = load_file(card.folder / WEIGHTS).values()
        self._tokenizer = Tokenizer.from_file(str(card.folder / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.card = card

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(ids) for ids in self._tokens(texts)]

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """(n, 256) vectors of length 1; of a text without a token, the zero vector."""
        made = np.zeros((len(texts), self.card.dimension), np.float32)
        for row, ids in enumerate(self._tokens(texts)):
            if ids:
                mean = self._vectors[ids[: self.card.max_tokens]].astype(np.float32).mean(0)
                made[row] = mean / max(float(np.linalg.norm(mean)), 1e-12)
        if progress:
            progress(len(texts))
        return made

    encode_queries = encode
    """A query is encoded as any other text."""

    def encode_alone(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `encode`, which takes each text by itself anyway."""
        return self.encode(texts)

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]
