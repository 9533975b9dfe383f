"""Per-sequence expert masks for transformers' Mixtral, OLMoE and FlexOlmo, equal to removing the experts.

FlexOlmo leaves an owner out by merging again without its expert. A mask does it for each sequence of a batch:
the router gives a masked expert -inf before its softmax, so that the allowed experts' probabilities are those
of a model that never had it, and a slot of the top k that no allowed expert can fill goes to an allowed expert
with weight 0. Nothing of a masked expert is computed, so nothing of it can leak: not even NaN (0 * NaN is NaN).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.flex_olmo.modeling_flex_olmo import FlexOlmoTopKRouter
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter
from transformers.models.olmoe.modeling_olmoe import OlmoeTopKRouter

Router = MixtralTopKRouter | OlmoeTopKRouter | FlexOlmoTopKRouter


def install(model: nn.Module) -> ExpertMask:
    """Patch the routers of a model in place; from then on it computes only inside `ExpertMask.over`.

    In place because transformers computes classes it does not know on a slow path.
    Raises ValueError for a model without routers of a known architecture.
    """
    routers = [module for module in model.modules() if isinstance(module, Router)]
    if not routers:
        raise ValueError(f"{type(model).__name__} has no router of Mixtral, OLMoE or FlexOlmo to mask")
    mask = ExpertMask(experts=int(routers[0].num_experts), top_k=int(routers[0].top_k))
    for router in routers:
        router.forward = MethodType(mask.route, router)  # type: ignore[method-assign]
    return mask


@dataclass(frozen=True, slots=True)
class MaskRows:
    """A mask laid out for the rows a router sees: one for each token, sequence by sequence.

    `off`: (rows, experts) bool, True where masked. `spare`: (rows, 1) int64, an allowed expert of each row.
    `slots`: how many experts the router picks. `uneven`: some row allows fewer experts than `slots`.
    `common`: (kept,) int64, the experts that all rows allow, when all have one mask; None when masks differ.
    """

    off: Tensor
    spare: Tensor
    slots: int
    uneven: bool
    common: Tensor | None


class ExpertMask:
    """The mask that the routers of one model apply, and the probabilities they record.

    One forward pass at a time, as for the model itself.
    """

    def __init__(self, experts: int, top_k: int) -> None:
        self.experts, self.top_k = experts, top_k
        self._rows: MaskRows | None = None
        self._sequences: Tensor | None = None
        self._laid_out: MaskRows
        self._probabilities: list[Tensor] = []
        self._chosen: list[Tensor] | None = None

    def rows(self, allowed: Tensor, tokens: int = 1) -> MaskRows:
        """Lay out `allowed`, (batch, experts) bool, for a forward pass over `tokens` tokens of each sequence.

        Raises ValueError when a sequence allows no expert, or the width is not the model's.
        """
        if allowed.dim() != 2 or allowed.shape[1] != self.experts:
            raise ValueError(f"a mask is (batch, {self.experts}), not {tuple(allowed.shape)}")
        counts = allowed.sum(dim=1)
        fewest, most = int(counts.min()), int(counts.max())
        if fewest == 0:
            raise ValueError("a sequence must allow at least one expert")
        # no row can fill more slots than this; more would only be computed to be weighted with 0
        slots = min(self.top_k, most)
        by_row = allowed.repeat_interleave(tokens, dim=0)
        spare = by_row.to(torch.uint8).argmax(dim=1, keepdim=True)
        common = allowed[0].nonzero().flatten() if bool((allowed == allowed[0]).all()) else None
        return MaskRows(~by_row, spare, slots, uneven=fewest < slots, common=common)

    @contextmanager
    def over(self, rows: MaskRows, *, record_chosen: bool = False) -> Iterator[None]:
        """Apply these rows to the forward pass inside, and record its routing. Without it the model refuses."""
        self._rows, self._probabilities = rows, []
        self._chosen = [] if record_chosen else None
        try:
            yield
        finally:
            self._rows = None

    @contextmanager
    def sequences(self, allowed: Tensor) -> Iterator[None]:
        """Apply `allowed`, (batch, experts) bool, to every forward pass inside, whatever it makes of the batch.

        For transformers' own `generate`, which runs many passes and puts beams, or several samples, of a sequence
        beside each other: whatever the rows, an equal share of them in the batch's order is each sequence's. Routing
        is not recorded: nobody could tell its passes apart. Raises ValueError as `rows` does.
        """
        self._laid_out, self._sequences = self.rows(allowed), allowed
        try:
            yield
        finally:
            self._sequences = None

    def routing(self) -> Tensor:
        """Router probabilities of the last forward pass in `over`: (layers, rows, experts), fp32, 0 where masked."""
        return torch.stack(self._probabilities)

    def chosen(self) -> Tensor:
        """Experts that the last forward pass computed, the most probable first: (layers, rows, slots) int64.

        -1 in a slot that no allowed expert filled. Raises RuntimeError when they were not to be recorded.
        """
        if self._chosen is None:
            raise RuntimeError("the chosen experts are recorded only inside over(rows, record_chosen=True)")
        return torch.stack(self._chosen)

    def route(self, router: Router, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A router's forward pass under the mask: masked logits, weights and indices of the chosen experts."""
        hidden = hidden.reshape(-1, router.hidden_dim)
        rows = self._rows or self._rows_of_sequences(len(hidden))
        logits = _logits(hidden, router.weight, rows)
        probabilities = functional.softmax(logits, dim=-1, dtype=torch.float32)
        if self._sequences is None:
            # detached: where gradients flow, the record would keep the whole pass in memory
            self._probabilities.append(probabilities.detach())
        weights, chosen = probabilities.topk(rows.slots, dim=-1)
        if self._chosen is not None:
            self._chosen.append(chosen.masked_fill(rows.off.gather(1, chosen), -1))
        if rows.uneven:
            # a masked expert can only be picked with weight 0, to fill a slot; it must not even be computed
            chosen = torch.where(rows.off.gather(1, chosen), rows.spare, chosen)
        if isinstance(router, MixtralTopKRouter):
            return logits, weights / weights.sum(dim=-1, keepdim=True), chosen
        if router.norm_topk_prob:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        return logits, weights.to(logits.dtype), chosen

    def _rows_of_sequences(self, count: int) -> MaskRows:
        """`sequences` laid out for so many rows. Raises RuntimeError when there is no mask to lay out."""
        if self._sequences is None:
            raise RuntimeError("a masked model computes only inside ExpertMask.over: no mask means no consent")
        if len(self._laid_out.off) != count:
            each, rest = divmod(count, len(self._sequences))
            if rest:
                raise RuntimeError(f"{count} rows cannot be those of {len(self._sequences)} sequences")
            self._laid_out = self.rows(self._sequences, each)
        return self._laid_out


def _logits(hidden: Tensor, weight: Tensor, rows: MaskRows) -> Tensor:
    """(rows, experts), -inf where masked: after softmax it would be too late, the rest would not sum to one."""
    if rows.common is None:
        return functional.linear(hidden, weight).masked_fill(rows.off, float("-inf"))
    # under one mask only the allowed rows of the router are multiplied: bit for bit the product of a model
    # without the others, while the product of all, cut to the allowed, is rounded otherwise
    kept = functional.linear(hidden, weight[rows.common])
    return kept.new_full(rows.off.shape, float("-inf")).index_copy(1, rows.common, kept)
