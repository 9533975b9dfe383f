"""A checkpoint of transformers as a masked model: forward passes that need an explicit set of experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from services.model.engines.base import ModelInfo, NewExpert, OtherAnchor
from services.model.engines.factoring import factor
from services.model.engines.keyvalues import KeyValues, Shape
from services.model.engines.newcomer import newcomer
from services.model.engines.places import Places
from services.model.flexolmo.mask import MaskRows, install
from services.model.flexolmo.merged import Origin, most_active, origin

_HEAD_ROWS = 16_384
"""Rows of the vocabulary that are widened to fp32 at a time."""


class Checkpoint:
    """A Mixtral, OLMoE or FlexOlmo language model whose every forward pass is under a mask.

    One thread at a time, all of it inside torch.inference_mode: what is allocated there cannot be changed outside.
    """

    def __init__(self, model: Any, directory: Path | None = None) -> None:
        """`model`: a transformers causal language model; its routers are patched in place. `directory`: where it
        was loaded from, if experts' files are to be read for it.

        Raises ValueError when it has no experts to mask, or forgets (sliding window) what a cache would keep.
        """
        config = model.config
        if getattr(config, "sliding_window", None):
            raise ValueError("a sliding window of attention is not supported")
        self.model, self._directory = model.eval(), directory
        self.mask = install(model)
        self.places = Places(model, self.mask)
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
        factor(model, directory)
        found = cls(model, directory)
        # a mask's slots are cut to the experts it allows: as merged, also when more have joined
        found.mask.top_k = most_active(directory) or found.mask.top_k
        found.info = replace(found.info, active=found.mask.top_k)
        return found

    def origin(self) -> Origin:
        """What an expert that joins this model must have been trained on. Raises OtherAnchor when nothing says it."""
        found = origin(self._directory) if self._directory else None
        if found is None:
            where = self._directory or "a model that was not loaded from a folder"
            raise OtherAnchor(
                f"{where} does not say which anchor it was merged from: no expert can be checked against it"
            )
        return found

    def read_expert(self, file: Path) -> NewExpert:
        """An owner's expert, as weights that can join this model. Raises BadExpert, OtherAnchor."""
        found = newcomer(file, self.origin(), self.model.dtype, factored=self.places.factored)
        self.places.check(found.layers)
        return found

    def check(self, mask: frozenset[int]) -> None:
        """Raises ValueError for a mask without an expert, or with one the model never had; ExpertGone for a removed."""
        if not mask:
            raise ValueError("a sequence must allow at least one expert")
        for number in mask:
            self.places.of(number)

    def allowed(self, masks: Sequence[frozenset[int]]) -> Tensor:
        """(sequences, experts) bool, by place, of masks by number. Raises as `check` does."""
        allowed = torch.zeros(len(masks), self.mask.experts, dtype=torch.bool)
        for row, mask in enumerate(masks):
            self.check(mask)
            allowed[row, [self.places.of(number) for number in mask]] = True
        return allowed

    def by_number(self, shares: Tensor) -> list[dict[int, float]]:
        """Routing shares, (rows, experts) by place, as a row's shares by the experts' numbers."""
        return [dict(zip(self.places.numbers, row, strict=True)) for row in shares.tolist()]

    def extend(self, values: KeyValues, tokens: Tensor, rows: MaskRows) -> tuple[Tensor, Tensor]:
        """Append `tokens`, (sequences, count), to the sequences: several tokens only to a single sequence.

        Returns the logits after the last token, (sequences, vocabulary), and its routing share by expert
        averaged over the layers, (sequences, experts) fp32, by place.
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
