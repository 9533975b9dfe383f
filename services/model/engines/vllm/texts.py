"""Jobs over whole sequences under way at the host: scores, and the routing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

import numpy as np

from services.model.engines.base import EngineFailed, RouteTask, Routing, Score, ScoreTask
from services.model.engines.vllm import messages
from services.model.engines.vllm.calls import check_mask

Task = TypeVar("Task", bound=ScoreTask | RouteTask)
Result = TypeVar("Result")


class _TextsCall(ABC, Generic[Task, Result]):
    """Sequences to compute, some at a time; `future` has all results when the last has come."""

    at_once: int
    """Sequences of one job at the host at once: it computes no more together, and others want their turn."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = list(tasks)
        self._found: dict[int, Result] = {}
        self._name = ""
        self._asked = 0
        self.experts = frozenset[int]().union(*(task.allowed for task in self._tasks))
        self.sequences = min(len(self._tasks), self.at_once)
        self.future: Future[list[Result]] = Future()
        self.begun = False

    @property
    def ended(self) -> bool:
        """Every sequence has its result."""
        return len(self._found) == len(self._tasks)

    def start(self, name: str) -> list[bytes]:
        """A message for each of the first sequences."""
        self._name = name
        if self.ended:
            self._settle()
        return [line for _ in range(self.at_once) for line in self._next()]

    def take(self, event: messages.Answer) -> list[bytes]:
        """Keep the result, and ask for the next."""
        self.begun = True
        place = int(event.id.rpartition("/")[2])
        self._found[place] = self._result(self._tasks[place], event)
        if self.ended:
            self._settle()
        return self._next()

    def cancel(self) -> list[bytes]:
        """Each sequence that is still there."""
        open_places = set(range(self._asked)) - set(self._found)
        return [messages.cancel(f"{self._name}/{place}") for place in sorted(open_places)]

    def fail(self, error: EngineFailed) -> None:
        """Fail the future, unless nobody waits for it any more."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)

    @abstractmethod
    def _message(self, call: str, task: Task) -> bytes: ...

    @abstractmethod
    def _result(self, task: Task, event: messages.Answer) -> Result:
        """Raises EngineFailed and ValueError when it is not what was asked for, or was computed under another mask."""

    def _next(self) -> list[bytes]:
        if self._asked == len(self._tasks):
            return []
        self._asked += 1
        return [self._message(f"{self._name}/{self._asked - 1}", self._tasks[self._asked - 1])]

    def _settle(self) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result([self._found[place] for place in range(len(self._tasks))])


class ScoreCall(_TextsCall[ScoreTask, Score]):
    """Sequences to score."""

    at_once = 64

    def _message(self, call: str, task: ScoreTask) -> bytes:
        return messages.score(call, task)

    def _result(self, task: ScoreTask, event: messages.Answer) -> Score:
        if not isinstance(event, messages.Scored):
            raise EngineFailed(f"the vLLM host answered a score with {event.event}")
        check_mask(task.allowed, event.allowed, [event.routing])
        columns = (event.logprobs, event.means, event.variances, event.top)
        if {len(column) for column in columns} != {len(task.tokens) - 1}:
            raise EngineFailed("the vLLM host did not score every position")
        return Score(*columns, dict(enumerate(event.routing)))


class RouteCall(_TextsCall[RouteTask, Routing]):
    """Sequences to route. `columns`: the experts of the model that are left."""

    # a long one is an answer of many megabytes
    at_once = 8

    def __init__(self, tasks: Sequence[RouteTask], columns: Sequence[int], active: int) -> None:
        super().__init__(tasks)
        self._columns, self._active = tuple(columns), active

    def _message(self, call: str, task: RouteTask) -> bytes:
        return messages.route(call, task)

    def _result(self, task: RouteTask, event: messages.Answer) -> Routing:
        if not isinstance(event, messages.Routed):
            raise EngineFailed(f"the vLLM host answered a routing with {event.event}")
        probabilities = np.array(event.probabilities, dtype=np.float32)
        chosen = np.array(event.chosen, dtype=np.int64)
        predicted = None if event.predicted is None else np.array(event.predicted, dtype=np.int64)
        slots = (*probabilities.shape[:2], self._active)
        if probabilities.ndim != 3 or len(probabilities) != len(task.tokens) or chosen.shape != slots:
            raise EngineFailed("the vLLM host did not route every token")
        if (predicted is not None) != task.predict or (predicted is not None and len(predicted) != len(task.tokens)):
            raise EngineFailed("the vLLM host did not predict what was asked for")
        check_mask(task.allowed, event.allowed, [probabilities.max(axis=(0, 1)).tolist()])
        if others := set(np.unique(chosen).tolist()) - task.allowed - {-1}:
            raise EngineFailed(f"expert {min(others)} was chosen at the vLLM host, though it was not allowed")
        return Routing(self._columns, probabilities[:, :, self._columns], chosen, predicted)
