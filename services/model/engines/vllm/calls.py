"""Requests under way at the host: what to send for them, and what its events mean for whoever asked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Protocol

from services.model.engines.base import Deliver, Delta, EngineFailed, Generation, Score, ScoreTask
from services.model.engines.samples import Sample
from services.model.engines.text import Decode
from services.model.engines.vllm import messages

_SCORES_AT_ONCE = 64
"""Sequences of one scoring job at the host at once: it computes no more together, and others want their turn."""


class Call(Protocol):
    """A request of the engine's, on the engine's thread. The ids of its messages begin with its name and a slash."""

    begun: bool
    """The host has computed a part of it."""
    experts: frozenset[int]
    """Those that may compute for it."""
    sequences: int
    """How many it may have at the host at once."""

    @property
    def ended(self) -> bool:
        """Nothing of it is left to come."""
        ...

    def start(self, name: str) -> list[bytes]:
        """The messages that ask for it."""
        ...

    def take(self, event: messages.Generated | messages.Scored) -> list[bytes]:
        """Take what the host sent. Returns the messages to answer with.

        Raises EngineFailed when it was computed under another mask, and any other error when it is not what was asked
        for, or whoever asked cannot take it.
        """
        ...

    def cancel(self) -> list[bytes]:
        """The messages that let go of it."""
        ...

    def fail(self, error: EngineFailed) -> None:
        """Tell whoever asked; never raises."""
        ...


class GenerateCall:
    """A generation: the host's tokens become text, stop strings are found, statistics kept."""

    def __init__(self, request: Generation, deliver: Deliver, decode: Decode, ends: frozenset[int]) -> None:
        self._request, self._deliver = request, deliver
        self._running = {choice: Sample(request, choice, decode, ends) for choice in range(request.n)}
        self._id = ""
        self.begun = False
        self.experts, self.sequences = request.allowed, request.n

    @property
    def ended(self) -> bool:
        """Every sample has its end."""
        return not self._running

    def start(self, name: str) -> list[bytes]:
        """One message for all samples."""
        self._id = f"{name}/"
        return [messages.generate(self._id, self._request)]

    def take(self, event: messages.Generated | messages.Scored) -> list[bytes]:
        """Push the tokens; a sample that ends here, with a stop string, must end there too."""
        if isinstance(event, messages.Scored):
            raise EngineFailed("the vLLM host answered a generation with scores")
        self.begun = True
        _check_mask(self._request.allowed, event.allowed, event.routing)
        sample = self._running.get(event.choice)
        if sample is None:
            # sent before it heard that the sample has ended
            return []
        deltas = _push(sample, event)
        ended = any(delta.finish for delta in deltas)
        if event.finish and not ended:
            raise EngineFailed(f"the vLLM host ended sample {event.choice} too early")
        if ended:
            del self._running[event.choice]
        if deltas:
            try:
                self._deliver(deltas)
            except RuntimeError:
                # whoever asked has gone
                self._running.clear()
                return self.cancel()
        return [messages.cancel(self._id, event.choice)] if ended and not event.finish else []

    def cancel(self) -> list[bytes]:
        """All samples at once."""
        return [messages.cancel(self._id)] if self._id else []

    def fail(self, error: EngineFailed) -> None:
        """Deliver the error; one who cannot take it must not keep others from theirs."""
        with suppress(Exception):
            self._deliver(error)


class ScoreCall:
    """Sequences to score, some at a time; `future` has all scores when the last has come."""

    def __init__(self, tasks: Sequence[ScoreTask]) -> None:
        self._tasks = list(tasks)
        self._scores: dict[int, Score] = {}
        self._name = ""
        self._asked = 0
        self.experts = frozenset[int]().union(*(task.allowed for task in self._tasks))
        self.sequences = min(len(self._tasks), _SCORES_AT_ONCE)
        self.future: Future[list[Score]] = Future()
        self.begun = False

    @property
    def ended(self) -> bool:
        """Every sequence has its scores."""
        return len(self._scores) == len(self._tasks)

    def start(self, name: str) -> list[bytes]:
        """A message for each of the first sequences."""
        self._name = name
        if self.ended:
            self._settle()
        return [line for _ in range(_SCORES_AT_ONCE) for line in self._next()]

    def take(self, event: messages.Generated | messages.Scored) -> list[bytes]:
        """Keep the scores, and ask for the next."""
        if isinstance(event, messages.Generated):
            raise EngineFailed("the vLLM host answered a score with tokens")
        self.begun = True
        place = int(event.id.rpartition("/")[2])
        task = self._tasks[place]
        _check_mask(task.allowed, event.allowed, [event.routing])
        columns = (event.logprobs, event.means, event.variances, event.top)
        if {len(column) for column in columns} != {len(task.tokens) - 1}:
            raise EngineFailed("the vLLM host did not score every position")
        self._scores[place] = Score(*columns, dict(enumerate(event.routing)))
        if self.ended:
            self._settle()
        return self._next()

    def cancel(self) -> list[bytes]:
        """Each sequence that is still there."""
        open_places = set(range(self._asked)) - set(self._scores)
        return [messages.cancel(f"{self._name}/{place}") for place in sorted(open_places)]

    def fail(self, error: EngineFailed) -> None:
        """Fail the future, unless nobody waits for it any more."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)

    def _next(self) -> list[bytes]:
        if self._asked == len(self._tasks):
            return []
        self._asked += 1
        return [messages.score(f"{self._name}/{self._asked - 1}", self._tasks[self._asked - 1])]

    def _settle(self) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result([self._scores[place] for place in range(len(self._tasks))])


def _push(sample: Sample, event: messages.Generated) -> list[Delta]:
    deltas: list[Delta] = []
    columns = zip(event.tokens, event.logprobs, event.means, event.top, event.routing, strict=True)
    for token, logprob, mean, top, routing in columns:
        if delta := sample.push(token, logprob, mean, top, dict(enumerate(routing))):
            deltas.append(delta)
            if delta.finish:
                break
    return deltas


def _check_mask(asked: frozenset[int], applied: list[int], routing: list[list[float]]) -> None:
    """Raises EngineFailed unless the worker had the mask that was asked for, and its routers kept to it."""
    # nothing was computed for an answer without routing
    if routing and set(applied) != asked:
        raise EngineFailed(f"asked for experts {sorted(asked)}, but the vLLM host applied {sorted(applied)}")
    for shares in routing:
        for expert, share in enumerate(shares):
            if share and expert not in asked:
                raise EngineFailed(f"expert {expert} took part at the vLLM host, though it was not allowed")
