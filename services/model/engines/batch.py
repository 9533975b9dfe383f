"""The running batch: samples of many requests, each under its own mask, that take a step together."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch

from services.model.engines.base import Delta
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.jobs import Job
from services.model.engines.keyvalues import KeyValues
from services.model.engines.samples import Sample
from services.model.engines.sampling import choose, random_numbers
from services.model.engines.text import Decode
from services.model.flexolmo.mask import MaskRows


@dataclass(frozen=True, slots=True)
class Running:
    """A sample in the batch, the job it belongs to, and its random numbers."""

    job: Job
    sample: Sample
    numbers: random.Random


class Batch:
    """At most `limit` samples; samples times the longest they may become stays within `slots`."""

    def __init__(self, checkpoint: Checkpoint, decode: Decode, limit: int, slots: int) -> None:
        self._checkpoint, self._decode = checkpoint, decode
        self._limit, self._slots = limit, slots
        self._values = KeyValues(checkpoint.shape)
        self._rows: MaskRows | None = None
        self.samples: list[Running] = []

    def join(self, job: Job) -> list[tuple[Job, Delta]]:
        """Let as many of a job's samples join as there is room for; each takes its first token."""
        if job.prompt is None or job.logits is None:
            raise ValueError("a job joins once its prompt has been computed")
        count = min(job.to_start, self._room(job))
        if not count:
            return []
        joining = [self._running(job, job.started + place) for place in range(count)]
        job.started += count
        deltas, alive = self._take(joining, job.logits.expand(count, -1), [job.routing] * count)
        if any(alive):
            self._values.add(job.prompt.sequence(0), copies=sum(alive))
            self.samples += [running for running, lives in zip(joining, alive, strict=True) if lives]
            self._rows = None
        return deltas

    def step(self) -> list[tuple[Job, Delta]]:
        """Give every sample its next token; those that end leave."""
        if not self.samples:
            return []
        if self._rows is None:
            masks = [running.job.request.allowed for running in self.samples]
            self._rows = self._checkpoint.mask.rows(self._checkpoint.allowed(masks))
        tokens = torch.tensor([[running.sample.last] for running in self.samples])
        logits, routing = self._checkpoint.extend(self._values, tokens, self._rows)
        deltas, alive = self._take(self.samples, logits, self._checkpoint.by_number(routing))
        self._keep(alive)
        return deltas

    def experts_changed(self) -> None:
        """Lay the masks out anew: experts stand at other places now."""
        self._rows = None

    def leave_cancelled(self) -> None:
        """Let go of the samples whose requests were cancelled."""
        self._keep([not running.job.cancelled for running in self.samples])

    def clear(self) -> set[Job]:
        """Let go of all; returns the jobs they belonged to."""
        jobs = {running.job for running in self.samples}
        self._keep([False] * len(self.samples))
        return jobs

    def _running(self, job: Job, choice: int) -> Running:
        sample = Sample(job.request, choice, self._decode, self._checkpoint.ends)
        return Running(job, sample, random_numbers(job.request.sampling.seed, choice))

    def _take(
        self, samples: list[Running], logits: torch.Tensor, routing: list[dict[int, float]]
    ) -> tuple[list[tuple[Job, Delta]], list[bool]]:
        """Choose a token for each sample. Returns what can be sent, and which samples go on."""
        chosen = choose(
            logits,
            [running.job.request.sampling for running in samples],
            [running.numbers for running in samples],
            [running.sample.blocked() for running in samples],
        )
        deltas: list[tuple[Job, Delta]] = []
        alive = [True] * len(samples)
        for row, running in enumerate(samples):
            delta = running.sample.push(
                chosen.tokens[row], chosen.logprobs[row], chosen.means[row], chosen.top[row], routing[row]
            )
            if delta is not None:
                deltas.append((running.job, delta))
                alive[row] = delta.finish is None
        return deltas, alive

    def _keep(self, alive: list[bool]) -> None:
        for row in reversed(range(len(alive))):
            if not alive[row]:
                self._values.remove(row)
                # as in the keys and values: the last one takes the row
                self.samples[row] = self.samples[-1]
                self.samples.pop()
                self._rows = None

    def _room(self, job: Job) -> int:
        """How many of a job's samples fit, at the length that the longest sample may reach."""
        tokens = max(self._values.length, len(job.request.prompt))
        to_come = max([job.request.sampling.max_tokens, *(running.sample.remaining for running in self.samples)])
        # a longer newcomer lowers the bound below the number that run already
        return max(0, min(self._limit, self._slots // (tokens + to_come)) - len(self.samples))
