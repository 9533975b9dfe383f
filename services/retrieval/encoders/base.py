"""What an encoder is, and how one is found and loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from services.retrieval.encoders import wordllama
from services.retrieval.encoders.card import Card
from services.retrieval.encoders.published import PUBLISHED
from services.retrieval.encoders.recipe import PLAIN, Recipe, read

DEFAULT = "minilm"

__all__ = ["DEFAULT", "Card", "Encoder", "Loadable", "describe", "load"]

_DECIDING = ("config.json", "1_Pooling/config.json", "tokenizer.json")
_SHIFTED = ("roberta", "xlm-roberta", "camembert", "mpnet")
"""Families whose positions begin after that of the padding: two of those in the configuration are no text's."""


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

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `encode`, of texts that are searched with: some encoders have to be told."""
        ...

    def encode_alone(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `encode`, with each text in a pass of its own: its vector is the same to the last bit, whichever texts
        come with it."""
        ...


class Loadable(NamedTuple):
    """An encoder that takes long to load, and is perhaps not needed."""

    card: Card
    load: Callable[[], Encoder]


def describe(name: str, home: Path) -> Card:
    """The card of the encoder in CANDOR_HOME/models/NAME, or of `wordllama`. Raises FileNotFoundError when it is not
    there, Unsupported when it wants what no encoder here does.

    It reads as many tokens as the model has positions. all-MiniLM-L6-v2 comes with a limit of 256, and a passage of
    256 words is about 340 tokens: at 256 the last quarter of most passages could not be found.
    """
    if name == "wordllama":
        package = wordllama.folder()
        revision = _revision([package / wordllama.WEIGHTS, package / wordllama.TOKENIZER])
        return Card(name, package, revision, PUBLISHED[name].dimension, wordllama.TOKENS, recipe=None)
    folder = home / "models" / name
    if not (folder / "config.json").is_file():
        raise _lacks(name, folder / "config.json")
    recipe = read(name, folder)
    weights = sorted(folder.glob("*.safetensors")) or [folder / "model.safetensors"]
    parts = [folder / part for part in _DECIDING if not recipe.bidirectional or not part.startswith("1_Pooling")]
    revision = _revision([*parts, *weights], recipe, name)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    positions = config["max_position_embeddings"] - (2 if config.get("model_type") in _SHIFTED else 0)
    known = PUBLISHED.get(name)
    limit = min(positions, known.tokens) if known and known.tokens else positions
    return Card(name, folder, revision, config["hidden_size"], limit, recipe)


def load(card: Card, *, threads: int = 1) -> Encoder:
    """The encoder of a card. With `threads` > 1 it encodes so many batches at once, each in one thread."""
    if card.recipe is None:
        return wordllama.WordLlamaEncoder(card)
    from services.retrieval.encoders.transformer import TransformerEncoder  # noqa: PLC0415 (torch: seconds to import)

    return TransformerEncoder(card, threads=threads)


def _revision(parts: Sequence[Path], recipe: Recipe = PLAIN, name: str = "wordllama") -> str:
    digest = hashlib.sha256()
    for part in parts:
        if not part.is_file():
            raise _lacks(name, part)
        with part.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    if (recipe.query, recipe.document) != ("", ""):
        digest.update(repr(recipe).encode())
    return digest.hexdigest()[:16]


def _lacks(name: str, part: Path) -> FileNotFoundError:
    return FileNotFoundError(f"The encoder {name!r} lacks {part}: run `candor data pull`.")
