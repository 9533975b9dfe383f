"""An owner's text as blocks of tokens: reading the pulled documents, packing them, and hashing them."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Document:
    """One document of an owner."""

    id: str
    text: str
    licence: str


def read_documents(folder: Path, split: Literal["train", "heldout"]) -> list[Document]:
    """The documents of ``split`` in every ``*.jsonl`` file of ``folder``, ordered by id.

    Raises FileNotFoundError when the folder holds no document of that split.
    """
    documents = []
    for file in sorted(folder.glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            rows = map(json.loads, lines)
            documents += [Document(r["id"], r["text"], r["licence"]) for r in rows if r["split"] == split]
    if not documents:
        raise FileNotFoundError(f"No {split} documents in {folder}: run `candor data pull` first.")
    return sorted(documents, key=lambda document: document.id)


def data_hash(documents: Sequence[Document]) -> str:
    """SHA-256 over the sorted SHA-256 of the texts: says which texts were used without showing any."""
    digests = sorted(hashlib.sha256(document.text.encode()).hexdigest() for document in documents)
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def separator(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that stands between documents in the anchor's own training."""
    vocabulary = tokenizer.get_vocab()
    for name in ("<|endoftext|>", "</s>"):
        if name in vocabulary:
            return int(vocabulary[name])
    if tokenizer.eos_token_id is None:
        raise ValueError("The tokenizer has no end-of-text token to put between documents.")
    return int(tokenizer.eos_token_id)


class Blocks:
    """Documents packed end to end, a separator before each, and cut into blocks of equal length.

    ``block(i)`` depends only on the documents, the seed and i, so a resumed training sees the text it would
    have seen. Each pass over the documents is in a new order.
    """

    def __init__(self, documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, length: int, seed: int):
        texts = [document.text for document in documents]
        tokens = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        first = separator(tokenizer)
        self.documents = [np.array([first, *ids], dtype=np.int64) for ids in tokens]
        self.length, self.seed = length, seed
        self.per_pass = sum(map(len, self.documents)) // length
        if not self.per_pass:
            raise ValueError(f"The documents make less than one block of {length} tokens.")
        self._pass, self._tokens = -1, np.empty(0, dtype=np.int64)

    def block(self, index: int) -> Tensor:
        """Block ``index`` (from 0, without end), int64 of shape (length,)."""
        number, place = divmod(index, self.per_pass)
        if number != self._pass:
            order = np.random.default_rng((self.seed, number)).permutation(len(self.documents))
            self._pass, self._tokens = number, np.concatenate([self.documents[i] for i in order])
        start = place * self.length
        return torch.from_numpy(self._tokens[start : start + self.length])

    def batch(self, step: int, size: int) -> Tensor:
        """The ``size`` blocks of training step ``step`` (from 0), int64 of shape (size, length)."""
        return torch.stack([self.block(step * size + i) for i in range(size)])

    def batches(self, count: int, size: int) -> Iterator[Tensor]:
        """The first ``count`` batches."""
        return (self.batch(step, size) for step in range(count))
