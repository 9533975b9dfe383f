"""Computing a prompt, once for all samples of its request, in pieces between which others get their turn."""

from __future__ import annotations

import torch

from services.model.engines.checkpoint import Checkpoint
from services.model.engines.jobs import Job
from services.model.engines.keyvalues import KeyValues
from services.model.engines.prefixes import PrefixCache

PIECE = 256
"""Tokens of a prompt computed at a time."""


class Prefill:
    """Computes the prompts of jobs; remembers them within a bound of bytes."""

    def __init__(self, checkpoint: Checkpoint, remember: int) -> None:
        self._checkpoint = checkpoint
        self._known = PrefixCache(remember, PIECE)

    def advance(self, job: Job) -> int:
        """Compute the next piece of a job's prompt, of so many tokens; after the last one the job has its `logits`."""
        request = job.request
        if job.prompt is None:
            job.prompt = self._begin(job)
        done = job.prompt.length
        piece = torch.tensor([request.prompt[done : done + PIECE]])
        rows = self._checkpoint.mask.rows(self._checkpoint.allowed([request.allowed]), piece.shape[1])
        logits, routing = self._checkpoint.extend(job.prompt, piece, rows)
        if job.prompt.length == len(request.prompt):
            job.logits, job.routing = logits, self._checkpoint.by_number(routing)[0]
            self._known.put(request.allowed, request.prompt, job.prompt.sequence(0))
        return piece.shape[1]

    def forget(self, expert: int) -> None:
        """Forget the prompts that were computed with an expert."""
        self._known.forget(expert)

    def _begin(self, job: Job) -> KeyValues:
        request, shape = job.request, self._checkpoint.shape
        known = self._known.longest(request.allowed, request.prompt)
        known = shape.zeros(1, 0)[:, :, 0] if known is None else known
        prompt = KeyValues(shape)
        prompt.add(known, room=len(request.prompt) - known.shape[3])
        return prompt
