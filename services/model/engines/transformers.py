"""The engine on transformers: continuous batching, each sequence under its own mask of experts.

A thread of its own goes round: let experts join and leave, take what was queued, compute a piece of a prompt, let
samples join, score or route a batch of whole texts, and give every running sample its next token. So requests and
experts come and go between any two tokens, and a long prompt holds the others up for no longer than one piece of it.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from services.model.engines.base import (
    Deliver,
    Delta,
    EngineBusy,
    EngineFailed,
    ExpertGone,
    Generation,
    ModelInfo,
    NewExpert,
    RouteTask,
    Routing,
    Score,
    ScoreTask,
    TooLong,
)
from services.model.engines.batch import Batch
from services.model.engines.changes import Addition, Changes, Removal
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.jobs import Job, SequencesJob
from services.model.engines.memory import give_back
from services.model.engines.prefill import PIECE, Prefill
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
        self._changes = Changes()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def info(self) -> ModelInfo:
        """The model served."""
        return replace(self._info, experts=len(self._checkpoint.places.numbers))

    def submit(self, request: Generation, deliver: Deliver) -> Callable[[], None]:
        """Queue a request; the result cancels it.

        Raises EngineBusy, TooLong, ExpertGone, and ValueError for an expert that never was.
        """
        self._check(len(request.prompt), request.sampling.max_tokens)
        job = Job(request, deliver)
        with self._changed:
            self._check_mask(request.allowed)
            waiting = sum(not other.cancelled for other in self._waiting)
            if waiting >= self._limits.queue:
                raise EngineBusy(f"{waiting} requests are waiting already")
            self._waiting.append(job)
            self._changed.notify()
        return job.cancel

    def score(self, tasks: Sequence[ScoreTask]) -> Future[list[Score]]:
        """Queue sequences to score.

        Raises EngineBusy, TooLong, ExpertGone, and ValueError for an expert that never was, or no token.
        """
        return self._queue(tasks, partial(score, self._checkpoint))

    def route(self, tasks: Sequence[RouteTask]) -> Future[list[Routing]]:
        """Queue sequences to route. Raises as `score` does."""
        return self._queue(tasks, partial(route, self._checkpoint))

    def check_joining(self) -> None:
        """Raises OtherAnchor when the model does not say which anchor it was merged from."""
        self._checkpoint.origin()

    def read(self, file: Path) -> NewExpert:
        """Read an expert's file and check it against the model. Raises BadExpert, OtherAnchor."""
        return self._checkpoint.read_expert(file)

    def add(self, expert: NewExpert) -> Future[int]:
        """Let an expert join between two steps; its number, once it can compute.

        Raises EngineFailed; the future raises BadExpert when its weights are not of the model's shapes.
        """
        with self._changed:
            self._check_open()
            addition = self._changes.add(expert)
            self._changed.notify()
        return addition.future

    def remove(self, number: int, patience: float) -> Future[None]:
        """Remove an expert: refused to new requests at once, gone from memory when the future ends.

        Requests that may use it have `patience` seconds to end and then fail with ExpertGone. Raises ExpertGone when
        it is gone already, ValueError when it never was or is the last one, EngineFailed.
        """
        with self._changed:
            self._check_open()
            self._check_mask(frozenset({number}))
            if len(self._checkpoint.places.numbers) - len(self._changes.leaving) == 1:
                raise ValueError("the last expert of a model cannot be removed")
            removal = self._changes.remove(number, patience)
            self._changed.notify()
        return removal.future

    def close(self) -> None:
        """Stop; what is running fails with EngineFailed."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _queue(self, tasks: Sequence[Task], compute: Callable[[Sequence[Task]], list[Result]]) -> Future[list[Result]]:
        for task in tasks:
            self._check(len(task.tokens), 0)
        masks = {task.allowed for task in tasks}
        job = SequencesJob(in_batches(tasks, compute), frozenset[int]().union(*masks))
        with self._changed:
            for allowed in masks:
                self._check_mask(allowed)
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

    def _check_open(self) -> None:
        if self._closed:
            raise EngineFailed("the model service is stopping")

    def _check_mask(self, mask: frozenset[int]) -> None:
        """Holding the lock: an expert that leaves is refused from the moment it was told to."""
        for number in mask & self._changes.leaving.keys():
            raise ExpertGone(number)
        self._checkpoint.check(mask)

    @torch.inference_mode()
    def _run(self) -> None:
        if self._limits.threads:
            torch.set_num_threads(self._limits.threads)
        while self._wait_for_work():
            try:
                if self._changes:
                    self._change_experts()
                self._let_go()
                self._let_join()
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
                lambda: (
                    self._closed
                    or self._waiting
                    or self._sequences
                    or self._ready
                    or self._batch.samples
                    or self._changes
                )
            )
        return not self._closed

    def _change_experts(self) -> None:
        """Let experts join, and those leave that nobody uses any more or that were to leave by now."""
        with self._changed:
            additions, removals = self._changes.additions(), list(self._changes.leaving.values())
        for addition in additions:
            self._join_expert(addition)
        for removal in removals:
            using = self._using(removal.number)
            if using and not removal.overdue():
                continue
            for job in using:
                job.fail(ExpertGone(removal.number))
            self._let_go()
            self._drop_expert(removal)

    def _join_expert(self, addition: Addition) -> None:
        if not addition.future.set_running_or_notify_cancel():
            return
        try:
            number = self._checkpoint.places.append(addition.expert.layers)
        except Exception as error:
            addition.future.set_exception(error)
            return
        self._batch.experts_changed()
        give_back()
        addition.future.set_result(number)

    def _drop_expert(self, removal: Removal) -> None:
        self._prefill.forget(removal.number)
        try:
            self._checkpoint.places.drop(removal.number)
            error = None
        except Exception as raised:
            error = raised
        self._batch.experts_changed()
        give_back()
        with self._changed:
            del self._changes.leaving[removal.number]
        if error is None:
            removal.future.set_result(None)
        else:
            removal.future.set_exception(error)

    def _using(self, expert: int) -> list[Job | SequencesJob[Any]]:
        """Who may compute with an expert. Nobody joins them: the expert is refused by now."""
        with self._changed:
            jobs = {*self._waiting, *(running.job for running in self._batch.samples)}
            jobs |= {self._ready} if self._ready else set()
            everyone: list[Job | SequencesJob[Any]] = [*jobs, *self._sequences]
            return [job for job in everyone if not job.cancelled and job.uses(expert)]

    def _let_go(self) -> None:
        """Forget requests that were cancelled, or have failed."""
        with self._changed:
            self._waiting = deque(job for job in self._waiting if not job.cancelled)
            self._sequences = deque(job for job in self._sequences if not job.cancelled)
        if self._ready and self._ready.cancelled:
            self._ready = None
        self._batch.leave_cancelled()

    def _let_join(self) -> None:
        """Compute a piece of prompts, one long or several short ones, and let their samples join.

        Several, for else requests that come together would run one step apart from each other to their ends.
        """
        left = PIECE
        while left > 0:
            if self._ready is None:
                with self._changed:
                    self._ready = self._waiting.popleft() if self._waiting else None
            if self._ready is None:
                return
            if self._ready.logits is None:
                left -= self._prefill.advance(self._ready)
            if self._ready.logits is not None:
                self._send(self._batch.join(self._ready))
                if self._ready.to_start:
                    return
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
            changes = self._changes.clear() if self._closed else []
        for job in {*self._batch.clear(), *([self._ready] if self._ready else []), *waiting}:
            job.send(error)
        for whole in sequences:
            whole.fail(error)
        for change in changes:
            change.fail(error)
        self._ready = None
