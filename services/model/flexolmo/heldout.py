"""Held-out text to measure on: whole documents that no expert was trained on, cut into windows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from services.model.flexolmo.corpus import read_documents, separator
from services.model.flexolmo.documents import Document

_SHINGLE = 13
"""Words in a row that count as copied text (the usual length of decontamination)."""
_COPIED_SHARE = 0.1


@dataclass(frozen=True)
class Heldout:
    """Windows of an owner's held-out documents."""

    owner: str
    windows: list[Tensor]
    """int64, each (at most ``length``,); the first token is context and not scored."""
    document: list[int]
    """The document each window is of, 0 <= d < documents."""
    documents: int
    near_copies: int
    """Held-out documents that were left out because the training split repeats them."""


def read_heldout(
    texts: Path, tokenizer: PreTrainedTokenizerBase, *, windows: int, per_document: int, length: int = 256
) -> Heldout:
    """Windows of the held-out documents in ``texts/``, in a fixed random order of documents.

    Takes up to ``per_document`` windows from the start of each document until there are ``windows``. A
    document of which a tenth or more stands in the training split too is left out: it would measure memory.
    """
    held, train = read_documents(texts, "heldout"), read_documents(texts, "train")
    fresh = list(_fresh(held, train))
    if not fresh:
        raise ValueError(f"Every held-out document in {texts} repeats the training text.")
    first = separator(tokenizer)
    cut: list[Tensor] = []
    owners: list[int] = []
    for number, place in enumerate(np.random.default_rng(0).permutation(len(fresh))):
        if len(cut) >= windows:
            break
        ids = [first, *tokenizer(fresh[place].text, add_special_tokens=False, verbose=False)["input_ids"]]
        # Windows share one token: the last scored of one is the context of the next.
        starts = range(0, len(ids) - 1, length - 1)
        for start in starts[: min(per_document, windows - len(cut))]:
            cut.append(torch.tensor(ids[start : start + length]))
            owners.append(number)
    return Heldout(texts.name, cut, owners, owners[-1] + 1, len(held) - len(fresh))


def _fresh(held: Sequence[Document], train: Sequence[Document]) -> Iterator[Document]:
    seen = {shingle for document in train for shingle in _shingles(document.text)}
    for document in held:
        shingles = _shingles(document.text)
        if sum(shingle in seen for shingle in shingles) < _COPIED_SHARE * len(shingles):
            yield document


def _shingles(text: str) -> list[int]:
    words = text.lower().split()
    count = max(1, len(words) - _SHINGLE + 1)
    return [hash(tuple(words[i : i + _SHINGLE])) for i in range(count)]
