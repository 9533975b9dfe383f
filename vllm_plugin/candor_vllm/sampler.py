"""The sampler that puts statistics between a token and the most probable ones (see `candor_vllm.statistics`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from vllm.v1.outputs import LogprobsTensors
from vllm.v1.sample.sampler import Sampler

from candor_vllm.statistics import columns, pseudo_tokens


class StatisticsSampler(Sampler):
    """vLLM's sampler, but `gather_logprobs` adds statistics where `adding` says so."""

    _wanted: torch.Tensor | None = None
    _shares: Callable[[int], torch.Tensor]

    @contextmanager
    def adding(self, wanted: torch.Tensor, shares: Callable[[int], torch.Tensor]) -> Iterator[None]:
        """Meanwhile, rows have statistics.

        `wanted`: (rows, 1) bool, or (1, 1) for all rows. `shares`: from the number of rows their routing,
        (rows, experts) fp32, as `MaskRows.shares` gives it.
        """
        self._wanted, self._shares = wanted, shares
        try:
            yield
        finally:
            self._wanted = None

    def gather_logprobs(self, logprobs: torch.Tensor, num_logprobs: int, token_ids: torch.Tensor) -> LogprobsTensors:
        """As vLLM's: ids and log p, (rows, 1 + num_logprobs), and ranks, (rows,)."""
        plain = Sampler.gather_logprobs(logprobs, num_logprobs, token_ids)
        if self._wanted is None:
            return plain
        shares = self._shares(len(token_ids))
        width = columns(shares.shape[1])
        variance, mean = torch.var_mean(logprobs, dim=-1, correction=0, keepdim=True)
        pseudo = torch.tensor(pseudo_tokens(shares.shape[1]), dtype=torch.int32, device=shares.device)
        ids, values = plain.logprob_token_ids, plain.logprobs
        kept = 1 + num_logprobs
        with_ids = torch.cat((ids[:, :1], pseudo.expand(len(ids), width), ids[:, 1:]), dim=1)[:, :kept]
        with_values = torch.cat((values[:, :1], mean, variance, shares, values[:, 1:]), dim=1)[:, :kept]
        return LogprobsTensors(
            torch.where(self._wanted, with_ids, ids),
            torch.where(self._wanted, with_values, values),
            plain.selected_token_ranks,
        )
