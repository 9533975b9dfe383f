"""An encoder that was published as a transformer with a pooling over its tokens, run by transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from torch import Tensor
from transformers import AutoModel, LlamaModel, MistralModel
from transformers.utils import logging

from services.retrieval.encoders.card import Card
from services.retrieval.encoders.recipe import PLAIN, Recipe
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
        """Load the weights, of Llama and Mistral without the head that would generate."""
        self._recipe = card.recipe or PLAIN
        self._tokenizer = Tokenizer.from_file(str(card.folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._model = (
            _kind(card)
            .from_pretrained(
                card.folder, dtype=getattr(torch, fast_dtype()), local_files_only=True, trust_remote_code=False
            )
            .eval()
        )
        self._threads = threads
        self.card = card

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text with what stands before it, before any is cut to the card's `max_tokens`."""
        prompted = [self._recipe.document + text for text in texts]
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(prompted)]

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """(n, dimension) vectors of length 1, in the order of the texts; what is beyond `max_tokens` is not read."""
        tokens = self._tokens(texts, self._recipe.document)
        return self._encode(tokens, _batches(tokens), self._left_out(self._recipe.document), progress)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `encode`, with what the encoder wants before a query."""
        tokens = self._tokens(texts, self._recipe.query)
        return self._encode(tokens, _batches(tokens), self._left_out(self._recipe.query))

    def encode_alone(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `encode`, with each text in a pass of its own: its vector is the same to the last bit, whichever texts
        come with it. A full passage takes as long as in a batch."""
        tokens = self._tokens(texts, self._recipe.document)
        # the longest first, so that no thread is left alone with it at the end
        alone = ([row] for row in sorted(range(len(tokens)), key=lambda row: -len(tokens[row])))
        return self._encode(tokens, alone, self._left_out(self._recipe.document))

    def _tokens(self, texts: Sequence[str], prompt: str) -> list[list[int]]:
        encodings = self._tokenizer.encode_batch_fast([prompt + text for text in texts])
        return [_cut(encoding, self.card.max_tokens) for encoding in encodings]

    def _left_out(self, prompt: str) -> int:
        """Tokens at the beginning that have no part in the mean."""
        if not prompt or self._recipe.prompts_pooled:
            return 0
        return _closed(self._tokenizer.encode(prompt))

    def _encode(
        self,
        tokens: Sequence[list[int]],
        batches: Iterator[list[int]],
        left_out: int,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        vectors = np.empty((len(tokens), self.card.dimension), np.float32)
        done = 0
        with _batches_at_once(self._threads) as run:
            for rows, part in run(lambda rows: (rows, self._forward([tokens[row] for row in rows], left_out)), batches):
                vectors[rows] = part
                done += len(rows)
                if progress:
                    progress(done)
        return vectors

    @torch.inference_mode()
    def _forward(self, tokens: Sequence[Sequence[int]], left_out: int) -> NDArray[np.float32]:
        """Of texts of one length: there is no padding, neither for attention nor for the pooling to leave out."""
        ids = torch.tensor(tokens)
        # a decoder's own mask is causal, but it takes another in its place: added to the scores, zeros hide nothing
        both_ways = torch.zeros(len(ids), 1, ids.shape[1], ids.shape[1], dtype=self._model.dtype)
        masked = {"attention_mask": both_ways, "use_cache": False} if self._recipe.bidirectional else {}
        hidden = self._model(input_ids=ids, **masked).last_hidden_state.float()
        pooled = _pooled(hidden[:, min(left_out, ids.shape[1] - 1) :], self._recipe)
        vectors: NDArray[np.float32] = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return vectors


def _kind(card: Card) -> Any:
    """The class of the model. What is instructed was published with code of its own: it is not run."""
    if card.recipe is None or not card.recipe.bidirectional:
        return AutoModel
    config = json.loads((card.folder / "config.json").read_text(encoding="utf-8"))
    return MistralModel if "mistral" in config["model_type"] else LlamaModel


def _pooled(hidden: Tensor, recipe: Recipe) -> Tensor:
    """(n, dimension) of (n, tokens, dimension)."""
    if recipe.pooling == "mean":
        return hidden.mean(1)
    return hidden[:, 0] if recipe.pooling == "cls" else hidden[:, -1]


def _cut(encoding: Encoding, limit: int) -> list[int]:
    """The first tokens, and the special ones that close a text."""
    ids: list[int] = encoding.ids
    if len(ids) <= limit:
        return ids
    closing = ids[_closed(encoding) :]
    return [*ids[: limit - len(closing)], *closing]


def _closed(encoding: Encoding) -> int:
    """Where the special tokens begin that close a text."""
    end = len(encoding.ids)
    while end > 1 and encoding.special_tokens_mask[end - 1]:
        end -= 1
    return end


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
