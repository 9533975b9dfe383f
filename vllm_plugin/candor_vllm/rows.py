"""Mask rows: for every token of a step, the experts that its request forbids, in buffers that stay in place."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from candor_vllm.statistics import FORBIDDEN
from candor_vllm.trace import Traces


class MaskRows:
    """One model's buffers, read by the router of every layer.

    `forbidden`: (tokens, experts) bool. `routing`: (tokens, experts) fp32, the sum over the layers run so far of
    the router's probabilities after masking. The flags spare a step what it does not need: `masking` (some token
    forbids an expert), `redirecting` (some token allows fewer experts than top-k), `collecting` (some request
    wants statistics). A graph that is captured or compiled once cannot ask them: with `fixed` they stay True.
    """

    def __init__(self, tokens: int, experts: int, top_k: int, device: torch.device, fixed: bool) -> None:
        self.experts = experts
        self.layers = 0
        self.traces = Traces()
        self.forbidden = torch.zeros(tokens, experts, dtype=torch.bool, device=device)
        self.routing = torch.zeros(tokens, experts, dtype=torch.float32, device=device)
        self.masking = self.redirecting = self.collecting = fixed
        self._fixed, self._top_k = fixed, top_k
        self._laid: tuple[bytes, bytes] | None = None

    def lay(self, rows: NDArray[np.bool_], counts: NDArray[np.integer], statistics: bool) -> None:
        """Prepare a step in which request i has ``counts[i]`` tokens, one after another, and forbids ``rows[i]``.

        `rows`: (requests, experts), True where forbidden. While a batch decodes unchanged, nothing is written.
        """
        tokens = int(counts.sum())
        self.collecting = self._fixed or statistics
        if self.collecting:
            self.routing[:tokens].zero_()
        laid = (rows.tobytes(), counts.tobytes())
        if laid == self._laid:
            return
        self._laid = laid
        self.masking = self._fixed or bool(rows.any())
        self.redirecting = self._fixed or bool(((~rows).sum(axis=1) < self._top_k).any())
        if self.masking:
            self.forbidden[:tokens].copy_(torch.from_numpy(np.repeat(rows, counts, axis=0)), non_blocking=True)

    def shares(self, tokens: torch.Tensor | slice) -> torch.Tensor:
        """(tokens, experts) fp32: the router's probabilities at these places of the step, averaged over layers.

        FORBIDDEN where the row that was laid forbids the expert, unless the router let it take part.
        """
        shares = self.routing[tokens] / self.layers
        if not self.masking:
            return shares
        return torch.where(self.forbidden[tokens] & (shares == 0), FORBIDDEN, shares)
