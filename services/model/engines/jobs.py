"""What the engine works on: requests on their way from the queue to their last sample, and whole sequences."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from torch import Tensor

from services.model.engines.base import Deliver, Delta, EngineFailed, Generation
from services.model.engines.keyvalues import KeyValues

Result = TypeVar("Result")


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


class SequencesJob(Generic[Result]):
    """Whole sequences to score or to route, a batch at a time."""

    def __init__(self, batches: Iterator[list[tuple[int, Result]]], experts: frozenset[int]) -> None:
        """`batches` yields (a sequence's place, its result) in any order; nothing is computed before `advance`.
        `experts`: all that some sequence's mask allows."""
        self.future: Future[list[Result]] = Future()
        self._experts = experts
        self._results: dict[int, Result] = {}
        self._batches = batches

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.done()

    def uses(self, expert: int) -> bool:
        """Whether a mask of one of its sequences allows an expert."""
        return expert in self._experts

    def advance(self) -> bool:
        """Compute one batch; False when nothing is left to do. Never raises: an error goes to the future."""
        try:
            batch = next(self._batches, None)
        except Exception as error:
            self.fail(EngineFailed(f"the sequences could not be computed: {error}"))
            return False
        if batch is not None:
            self._results.update(batch)
            return True
        if self.future.set_running_or_notify_cancel():
            self.future.set_result([self._results[place] for place in range(len(self._results))])
        return False

    def fail(self, error: EngineFailed) -> None:
        """End it with an error."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)
