"""What the engine works on: requests on their way from the queue to their last sample, and scoring jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from torch import Tensor

from services.model.engines.base import Deliver, Delta, EngineFailed, Generation, Score, ScoreTask
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.keyvalues import KeyValues
from services.model.engines.scoring import score_in_batches


@dataclass(eq=False)
class Job:
    """A request: first waiting, then its prompt is computed piece by piece, then its samples join the batch.

    `logits` and `routing` are those after the prompt, from which each sample takes its first token.
    """

    request: Generation
    deliver: Deliver
    cancelled: bool = False
    started: int = 0
    prompt: KeyValues | None = None
    logits: Tensor | None = None
    routing: dict[int, float] = field(default_factory=dict)

    @property
    def to_start(self) -> int:
        """How many of its samples have not joined the batch."""
        return self.request.n - self.started

    def uses(self, expert: int) -> bool:
        """Whether its mask allows an expert."""
        return expert in self.request.allowed

    def cancel(self) -> None:
        """Its samples leave at the next step. Safe from any thread."""
        self.cancelled = True

    def send(self, outcome: list[Delta] | EngineFailed) -> None:
        """Deliver; a receiver that has gone cancels its request, and must not stop the others."""
        try:
            self.deliver(outcome)
        except RuntimeError:
            self.cancelled = True

    def fail(self, error: EngineFailed) -> None:
        """End it with an error."""
        self.send(error)
        self.cancelled = True


class ScoreJob:
    """Sequences to score, a batch at a time."""

    def __init__(self, checkpoint: Checkpoint, tasks: Sequence[ScoreTask]) -> None:
        self.future: Future[list[Score]] = Future()
        self._experts = frozenset[int]().union(*(task.allowed for task in tasks))
        self._scores: dict[int, Score] = {}
        self._batches: Iterator[list[tuple[int, Score]]] = score_in_batches(checkpoint, tasks)

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.done()

    def uses(self, expert: int) -> bool:
        """Whether a mask of one of its sequences allows an expert."""
        return expert in self._experts

    def advance(self) -> bool:
        """Score one batch; False when nothing is left to do. Never raises: an error goes to the future."""
        try:
            batch = next(self._batches, None)
        except Exception as error:
            self.fail(EngineFailed(f"scoring failed: {error}"))
            return False
        if batch is not None:
            self._scores.update(batch)
            return True
        if self.future.set_running_or_notify_cancel():
            self.future.set_result([self._scores[place] for place in range(len(self._scores))])
        return False

    def fail(self, error: EngineFailed) -> None:
        """End it with an error."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)
