"""A checkpoint of transformers as a masked model: forward passes that need an explicit set of experts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from services.model.engines.base import ModelInfo
from services.model.engines.keyvalues import KeyValues, Shape
from services.model.flexolmo.mask import MaskRows, install

_HEAD_ROWS = 16_384
"""Rows of the vocabulary that are widened to fp32 at a time."""


class Checkpoint:
    """A Mixtral, OLMoE or FlexOlmo language model whose every forward pass is under a mask.

    One thread at a time, all of it inside torch.inference_mode: what is allocated there cannot be changed outside.
    """

    def __init__(self, model: Any) -> None:
        """`model`: a transformers causal language model; its routers are patched in place.

        Raises ValueError when it has no experts to mask, or forgets (sliding window) what a cache would keep.
        """
        config = model.config
        if getattr(config, "sliding_window", None):
            raise ValueError("a sliding window of attention is not supported")
        self.model = model.eval()
        self.mask = install(model)
        self.info = ModelInfo(
            architecture=config.model_type,
            experts=self.mask.experts,
            active=self.mask.top_k,
            vocabulary=config.vocab_size,
            max_length=config.max_position_embeddings,
        )
        self.shape = Shape(
            layers=config.num_hidden_layers,
            heads=config.num_key_value_heads,
            dim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
            dtype=model.dtype,
        )
        self.ends = _ends(model)

    @classmethod
    def load(cls, directory: Path, dtype: str) -> Self:
        """Load from a directory in transformers' format; `dtype` as torch names it."""
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, dtype), local_files_only=True)
        return cls(model)

    def check(self, mask: frozenset[int]) -> None:
        """Raises ValueError for a mask without an expert, or with one that the model does not have."""
        if not mask:
            raise ValueError("a sequence must allow at least one expert")
        if unknown := mask - set(range(self.mask.experts)):
            raise ValueError(f"the model has no expert {min(unknown)}; it has {self.mask.experts}")

    def allowed(self, masks: Sequence[frozenset[int]]) -> Tensor:
        """(sequences, experts) bool. Raises ValueError as `check` does."""
        allowed = torch.zeros(len(masks), self.mask.experts, dtype=torch.bool)
        for row, mask in enumerate(masks):
            self.check(mask)
            allowed[row, sorted(mask)] = True
        return allowed

    def extend(self, values: KeyValues, tokens: Tensor, rows: MaskRows) -> tuple[Tensor, Tensor]:
        """Append `tokens`, (sequences, count), to the sequences: several tokens only to a single sequence.

        Returns the logits after the last token, (sequences, vocabulary), and its routing share by expert
        averaged over the layers, (sequences, experts) fp32.
        """
        sequences, count = tokens.shape
        positions = torch.tensor(values.lengths()).unsqueeze(1) + torch.arange(count)
        with self.mask.over(rows):
            logits = self.model(
                input_ids=tokens,
                # for one token always a mask: without one, torch's attention over grouped heads is 7 times slower
                attention_mask=values.visible() if count == 1 else None,
                position_ids=positions,
                past_key_values=values.appending(count),
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
        values.advance(count)
        routing = self.mask.routing().view(-1, sequences, count, self.mask.experts)
        return logits, routing[:, :, -1].mean(dim=0)

    def hidden(self, tokens: Tensor, rows: MaskRows) -> tuple[Tensor, Tensor]:
        """A pass over whole sequences, (sequences, count), padded at their right if at all.

        Returns the last hidden states, (sequences, count, width), for `logits`, and the routing share by
        expert averaged over the layers, (sequences, count, experts) fp32.
        """
        with self.mask.over(rows):
            states = self.model.model(input_ids=tokens, use_cache=False).last_hidden_state
        return states, self.mask.routing().mean(dim=0).view(*tokens.shape, -1)

    def routed(self, tokens: Tensor, rows: MaskRows) -> tuple[Tensor, Tensor, Tensor]:
        """A pass over whole sequences as `hidden` makes it, with all of its routing.

        Returns the last hidden states, the router probabilities, (layers, sequences, count, experts) fp32, and
        the chosen experts, (layers, sequences, count, slots) int64, -1 in a slot that none filled.
        """
        with self.mask.over(rows, record_chosen=True):
            states = self.model.model(input_ids=tokens, use_cache=False).last_hidden_state
        probabilities, chosen = self.mask.routing(), self.mask.chosen()
        shape = (len(probabilities), *tokens.shape, -1)
        return states, probabilities.view(shape), chosen.view(shape)

    def logits(self, hidden: Tensor) -> Tensor:
        """(positions, vocabulary) fp32 from (positions, width), computed in fp32.

        Rounded to bf16, logits are 1/8 apart where the most probable ones lie: good enough to choose a token by,
        too coarse for scores that are compared with each other.
        """
        hidden = hidden.float()
        parts = self.model.lm_head.weight.split(_HEAD_ROWS)
        return torch.cat([functional.linear(hidden, part.float()) for part in parts], dim=-1)


def _ends(model: Any) -> frozenset[int]:
    """The tokens that end a sequence, from the generation settings and the model's own."""
    ends: set[int] = set()
    for source in (model.generation_config, model.config):
        found = getattr(source, "eos_token_id", None)
        ends.update([found] if isinstance(found, int) else found or [])
    return frozenset(ends)
