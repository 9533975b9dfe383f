"""What an encoder is, and how one is found and loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DEFAULT = "minilm"

_DECIDING = ("config.json", "1_Pooling/config.json", "tokenizer.json", "model.safetensors")


@dataclass(frozen=True)
class Card:
    """What is known of an encoder before its weights are loaded. `revision` changes whenever the vectors would."""

    name: str
    folder: Path
    revision: str
    dimension: int
    max_tokens: int


class Encoder(Protocol):
    """Makes vectors of texts."""

    card: Card

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, before any is cut to the card's `max_tokens`."""
        ...

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """(n, dimension) vectors of length 1, in the order of the texts; what is beyond `max_tokens` is not read.

        `progress` is told how many texts are done.
        """
        ...

    def encode_alone(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `encode`, with each text in a pass of its own: its vector is the same to the last bit, whichever texts
        come with it."""
        ...


def describe(name: str, home: Path) -> Card:
    """The card of the encoder in CANDOR_HOME/models/NAME. Raises FileNotFoundError when it was not pulled.

    It reads as many tokens as the model has positions. all-MiniLM-L6-v2 comes with a limit of 256, and a passage of
    256 words is about 340 tokens: at 256 the last quarter of most passages could not be found.
    """
    folder = home / "models" / name
    digest = hashlib.sha256()
    for part in _DECIDING:
        if not (folder / part).is_file():
            raise FileNotFoundError(f"The encoder {name!r} lacks {folder / part}: run `candor data pull`.")
        with (folder / part).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Card(name, folder, digest.hexdigest()[:16], config["hidden_size"], config["max_position_embeddings"])


def load(card: Card, *, threads: int = 1) -> Encoder:
    """The encoder of a card. With `threads` > 1 it encodes so many batches at once, each in one thread."""
    from services.retrieval.encoders.transformer import TransformerEncoder  # noqa: PLC0415 (torch: seconds to import)

    return TransformerEncoder(card, threads=threads)
