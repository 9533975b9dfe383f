"""An encoder that sentence-transformers published as a transformer with mean pooling, run by transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import AutoModel
from transformers.utils import logging

from services.retrieval.encoders.base import Card
from shared.processor import fast_dtype

_TOKENS_AT_ONCE = 4096

_Encoded = tuple[list[int], NDArray[np.float32]]
_Map = Callable[[Callable[[list[int]], _Encoded], Iterator[list[int]]], Iterator[_Encoded]]


class TransformerEncoder:
    """Weights and activations in the number format that the processor computes fastest.

    Texts are batched with others of their own length: nothing is spent on padding, and no vector depends on what it
    was batched with by more than rounding. Safe to call from several threads.
    """

    def __init__(self, card: Card, *, threads: int = 1) -> None:
        """Load the weights. Raises ValueError for a pooling that is not the mean."""
        pooling = json.loads((card.folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
        if not pooling.get("pooling_mode_mean_tokens"):
            raise ValueError(f"{card.folder}: only encoders that take the mean over tokens are supported")
        self._tokenizer = Tokenizer.from_file(str(card.folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._model = AutoModel.from_pretrained(
            card.folder, dtype=getattr(torch, fast_dtype()), local_files_only=True
        ).eval()
        self._threads = threads
        self.card = card

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, before any is cut to the card's `max_tokens`."""
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """(n, dimension) vectors of length 1, in the order of the texts; what is beyond `max_tokens` is not read."""
        tokens = self._tokens(texts)
        return self._encode(tokens, _batches(tokens), progress)

    def encode_alone(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `encode`, with each text in a pass of its own: its vector is the same to the last bit, whichever texts
        come with it. A full passage takes as long as in a batch."""
        tokens = self._tokens(texts)
        # the longest first, so that no thread is left alone with it at the end
        return self._encode(tokens, ([row] for row in sorted(range(len(tokens)), key=lambda row: -len(tokens[row]))))

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        return [_cut(encoding.ids, self.card.max_tokens) for encoding in encodings]

    def _encode(
        self,
        tokens: Sequence[list[int]],
        batches: Iterator[list[int]],
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        vectors = np.empty((len(tokens), self.card.dimension), np.float32)
        done = 0
        with _batches_at_once(self._threads) as run:
            for rows, part in run(lambda rows: (rows, self._forward([tokens[row] for row in rows])), batches):
                vectors[rows] = part
                done += len(rows)
                if progress:
                    progress(done)
        return vectors

    @torch.inference_mode()
    def _forward(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        hidden = self._model(input_ids=torch.tensor(tokens)).last_hidden_state
        vectors: NDArray[np.float32] = torch.nn.functional.normalize(hidden.float().mean(1), dim=1).numpy()
        return vectors


def _cut(ids: list[int], limit: int) -> list[int]:
    """The first tokens and the closing special one."""
    return ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]]


def _batches(tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Rows in groups of one length, the longest first, each at most `_TOKENS_AT_ONCE`, or one text."""
    ordered = sorted(range(len(tokens)), key=lambda row: -len(tokens[row]))
    for length, group in groupby(ordered, key=lambda row: len(tokens[row])):
        rows, size = list(group), max(_TOKENS_AT_ONCE // length, 1)
        yield from (rows[start : start + size] for start in range(0, len(rows), size))


@contextmanager
def _batches_at_once(threads: int) -> Iterator[_Map]:
    """A `map` over batches. Whole batches in threads of their own scale better than each batch over all threads,
    which wait for one another at every layer, and by far when other processes want the same cores.
    """
    if threads == 1:
        yield map
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(before)
