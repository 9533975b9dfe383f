"""An owner's text as blocks of tokens: collecting the documents, hashing them, and packing them."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from services.model.flexolmo.documents import Document, Split, read_file

Texts = Path | Sequence[Path]
"""A folder of ``*.jsonl`` files, as `candor data pull` leaves them, or files."""


def read_documents(texts: Texts, split: Split) -> list[Document]:
    """The documents of ``split`` in ``texts``, ordered by id.

    Raises BadText for a file that cannot be read, FileNotFoundError when there is no document of that split.
    """
    files = sorted(texts.glob("*.jsonl")) if isinstance(texts, Path) else texts
    documents = [document for file in files for document in read_file(file, split)]
    if not documents:
        where = f"{texts}: run `candor data pull` first" if isinstance(texts, Path) else ", ".join(map(str, texts))
        raise FileNotFoundError(f"No {split} documents in {where}.")
    # The text too: files may give two documents one id, and the order must not depend on the order of the files.
    return sorted(documents, key=lambda document: (document.id, document.text))


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
        self.tokens = sum(map(len, self.documents))
        """Of one pass over the documents, with a separator each."""
        self.per_pass = self.tokens // length
        if not self.per_pass:
            raise ValueError(f"The documents make less than one block of {length} tokens: add text, or shorten blocks.")
        self._pass, self._tokens = -1, np.empty(0, dtype=np.int64)

    def block(self, index: int) -> Tensor:
        """Block ``index`` (from 0, without end), int64 of shape (length,)."""
        number, place = divmod(index, self.per_pass)
        if number != self._pass:
            order = np.random.default_rng((self.seed, number)).permutation(len(self.documents))
            self._pass, self._tokens = number, np.concatenate([self.documents[i] for i in order])
        start = place * self.length
        return torch.from_numpy(self._tokens[start : start + self.length])

    def batch(self, step: int, size: int, part: slice = slice(None)) -> Tensor:
        """The ``size`` blocks of training step ``step`` (from 0), or a part of them, int64 of shape (size, length)."""
        return torch.stack([self.block(step * size + i) for i in range(size)[part]])

    def batches(self, count: int, size: int) -> Iterator[Tensor]:
        """The first ``count`` batches."""
        return (self.batch(step, size) for step in range(count))
