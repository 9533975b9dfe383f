"""The engine on transformers: continuous batching, each sequence under its own mask of experts.

A thread of its own goes round: take what was queued, compute a piece of a prompt, let samples join, score or
route a batch of whole texts, and give every running sample its next token. So requests join and leave between
any two tokens, and a long prompt holds the others up for no longer than one piece of it.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from services.model.engines.base import (
    Deliver,
    Delta,
    EngineBusy,
    EngineFailed,
    Generation,
    ModelInfo,
    RouteTask,
    Routing,
    Score,
    ScoreTask,
    TooLong,
)
from services.model.engines.batch import Batch
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.jobs import Job, SequencesJob
from services.model.engines.prefill import Prefill
from services.model.engines.routing import route
from services.model.engines.scoring import score
from services.model.engines.sequences import Result, Task, in_batches
from services.model.engines.text import Decode

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of an engine. `batch`: samples at once. `queue`: requests waiting. `slots`: samples times the tokens
    of the longest of them, which is what keys and values take memory for. `prefixes`: bytes of known prompts.
    `length`: tokens of prompt and answer, if fewer than the model's own. `threads`: torch's, if not its own."""

    batch: int = 64
    queue: int = 64
    slots: int = 65_536
    prefixes: int = 256 << 20
    length: int | None = None
    threads: int | None = None


class TransformersEngine:
    """Implements `Engine`. `decode` turns tokens into text; stop strings are found in it."""

    def __init__(self, checkpoint: Checkpoint, decode: Decode, limits: Limits | None = None) -> None:
        self._checkpoint, self._limits = checkpoint, limits or Limits()
        own = self._checkpoint.info
        longest = min(own.max_length, self._limits.slots, self._limits.length or own.max_length)
        self._info = replace(own, max_length=longest)
        self._batch = Batch(checkpoint, decode, self._limits.batch, self._limits.slots)
        self._prefill = Prefill(checkpoint, self._limits.prefixes)
        self._changed = threading.Condition()
        self._closed = False
        self._waiting: deque[Job] = deque()
        self._sequences: deque[SequencesJob[Any]] = deque()
        self._ready: Job | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def info(self) -> ModelInfo:
        """The model served."""
        return self._info

    def submit(self, request: Generation, deliver: Deliver) -> Callable[[], None]:
        """Queue a request; the result cancels it. Raises EngineBusy, TooLong, ValueError for an unknown expert."""
        self._check(len(request.prompt), request.sampling.max_tokens)
        self._checkpoint.check(request.allowed)
        job = Job(request, deliver)
        with self._changed:
            if len(self._waiting) >= self._limits.queue:
                raise EngineBusy(f"{len(self._waiting)} requests are waiting already")
            self._waiting.append(job)
            self._changed.notify()
        return job.cancel

    def score(self, tasks: Sequence[ScoreTask]) -> Future[list[Score]]:
        """Queue sequences to score. Raises EngineBusy, TooLong, ValueError for an unknown expert or no token."""
        return self._queue(tasks, partial(score, self._checkpoint))

    def route(self, tasks: Sequence[RouteTask]) -> Future[list[Routing]]:
        """Queue sequences to route. Raises EngineBusy, TooLong, ValueError for an unknown expert or no token."""
        return self._queue(tasks, partial(route, self._checkpoint))

    def close(self) -> None:
        """Stop; what is running fails with EngineFailed."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _queue(self, tasks: Sequence[Task], compute: Callable[[Sequence[Task]], list[Result]]) -> Future[list[Result]]:
        for task in tasks:
            self._check(len(task.tokens), 0)
        for allowed in {task.allowed for task in tasks}:
            self._checkpoint.check(allowed)
        job = SequencesJob(in_batches(tasks, compute))
        with self._changed:
            if len(self._sequences) >= self._limits.queue:
                raise EngineBusy(f"{len(self._sequences)} jobs over whole texts are waiting already")
            self._sequences.append(job)
            self._changed.notify()
        return job.future

    def _check(self, prompt: int, new: int) -> None:
        if not prompt:
            raise ValueError("a sequence needs at least one token")
        if prompt + new > self.info.max_length:
            raise TooLong(f"{prompt} tokens and {new} to come are more than the {self.info.max_length} that fit")

    @torch.inference_mode()
    def _run(self) -> None:
        if self._limits.threads:
            torch.set_num_threads(self._limits.threads)
        while self._wait_for_work():
            try:
                self._prefill_a_piece()
                self._join()
                self._compute_a_batch()
                self._send(self._batch.step())
            except Exception as error:
                # whatever it was, the requests it hit must hear of it and the next ones be served
                _log.exception("the engine failed")
                self._fail(EngineFailed(f"the engine failed: {error}"))
        self._fail(EngineFailed("the model service is stopping"))

    def _wait_for_work(self) -> bool:
        """Sleep until there is something to do; False when closed."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._waiting or self._sequences or self._ready or self._batch.samples
            )
            self._waiting = deque(job for job in self._waiting if not job.cancelled)
        if self._ready and self._ready.cancelled:
            self._ready = None
        self._batch.leave_cancelled()
        return not self._closed

    def _prefill_a_piece(self) -> None:
        if self._ready is None:
            with self._changed:
                self._ready = self._waiting.popleft() if self._waiting else None
        if self._ready is not None and self._ready.logits is None:
            self._prefill.advance(self._ready)

    def _join(self) -> None:
        if self._ready is not None and self._ready.logits is not None:
            self._send(self._batch.join(self._ready))
            if not self._ready.to_start:
                self._ready = None

    def _compute_a_batch(self) -> None:
        if self._sequences and not self._sequences[0].advance():
            with self._changed:
                self._sequences.popleft()

    def _send(self, deltas: Sequence[tuple[Job, Delta]]) -> None:
        by_job: defaultdict[Job, list[Delta]] = defaultdict(list)
        for job, delta in deltas:
            by_job[job].append(delta)
        for job, own in by_job.items():
            job.send(own)

    def _fail(self, error: EngineFailed) -> None:
        """Fail all that is being computed; when closed, also what waits."""
        with self._changed:
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))] if self._closed else []
            sequences = [self._sequences.popleft() for _ in range(len(self._sequences))] if self._closed else []
        for job in {*self._batch.clear(), *([self._ready] if self._ready else []), *waiting}:
            job.send(error)
        for whole in sequences:
            whole.fail(error)
        self._ready = None
