"""The engine on vLLM: requests go to candor_vllm.host, its tokens become text and statistics here."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from services.model.engines.base import (
    Deliver,
    EngineBusy,
    EngineFailed,
    Generation,
    ModelInfo,
    Notice,
    Score,
    ScoreTask,
    TooLong,
)
from services.model.engines.text import Decode
from services.model.engines.vllm import messages
from services.model.engines.vllm.calls import Call, GenerateCall, ScoreCall
from services.model.engines.vllm.fingerprint import fingerprint
from services.model.engines.vllm.hosts import Host
from services.model.engines.vllm.link import Link


class VllmEngine:
    """Implements `Engine`. `decode` turns tokens into text; stop strings are found in it."""

    def __init__(
        self,
        host: Host,
        directory: Path,
        decode: Decode,
        queue: int,
        notice: Notice,
        *,
        stopping: threading.Event | None = None,
    ) -> None:
        """Returns when the host serves the checkpoint in `directory`; at most `queue` requests wait for it to begin.

        Raises EngineFailed when the host does not start, serves something else, or `stopping` was set before.
        """
        self._decode, self._queue = decode, queue
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._calls: dict[str, Call] = {}
        self._expected = fingerprint(directory)
        self._link = Link(host, self._check_hello, self._take, self._lost, notice)
        self._hello: messages.Hello | None = None
        hello = self._hello = self._link.start(stopping or threading.Event())
        self._ends = hello.ends
        self._info = ModelInfo(hello.architecture, hello.experts, hello.active, hello.vocabulary, hello.max_length)

    @property
    def info(self) -> ModelInfo:
        """The model served."""
        return self._info

    def submit(self, request: Generation, deliver: Deliver) -> Callable[[], None]:
        """Queue a request; the result cancels it. Raises EngineBusy, TooLong, ValueError for an unknown expert."""
        self._check(len(request.prompt), request.sampling.max_tokens, request.allowed)
        return self._queued(GenerateCall(request, deliver, self._decode, self._ends, self._info))

    def score(self, tasks: Sequence[ScoreTask]) -> Future[list[Score]]:
        """Queue sequences to score. Raises EngineBusy, TooLong, ValueError for an unknown expert or no token."""
        for task in tasks:
            self._check(len(task.tokens), 0, task.allowed)
        call = ScoreCall(tasks)
        cancel = self._queued(call)
        call.future.add_done_callback(lambda future: cancel() if future.cancelled() else None)
        return call.future

    def close(self) -> None:
        """Stop, and the host if it is ours; what is running fails with EngineFailed."""
        self._link.close()

    def _check(self, prompt: int, new: int, allowed: frozenset[int]) -> None:
        if not prompt:
            raise ValueError("a sequence needs at least one token")
        if prompt + new > self._info.max_length:
            raise TooLong(f"{prompt} tokens and {new} to come are more than the {self._info.max_length} that fit")
        if not allowed:
            raise ValueError("a sequence must allow at least one expert")
        if unknown := allowed - set(range(self._info.experts)):
            raise ValueError(f"the model has no expert {min(unknown)}; it has {self._info.experts}")

    def _queued(self, call: Call) -> Callable[[], None]:
        with self._lock:
            waiting = sum(not other.begun for other in self._calls.values() if type(other) is type(call))
            if waiting >= self._queue:
                raise EngineBusy(f"{waiting} requests are waiting already")
            name = str(next(self._numbers))
            self._calls[name] = call
        self._link.soon(lambda: self._start(name))
        return lambda: self._link.soon(lambda: self._drop(name))

    # From here on: on the link's thread.

    def _start(self, name: str) -> None:
        call = self._calls.get(name)
        if call is None:
            return
        if self._link.broken:
            self._fail(name, EngineFailed(self._link.broken))
        else:
            self._link.send(*call.start(name))
            self._drop_ended(name, call)

    def _take(self, event: messages.Generated | messages.Scored | messages.Failed) -> None:
        name = (event.id or "").partition("/")[0]
        call = self._calls.get(name)
        if call is None:
            # sent before it heard that nobody waits any more
            return
        try:
            if isinstance(event, messages.Failed):
                raise EngineFailed(f"the vLLM host: {event.message}")
            self._link.send(*call.take(event))
            self._drop_ended(name, call)
        except (EngineFailed, ValueError) as error:
            self._link.send(*call.cancel())
            self._fail(name, EngineFailed(str(error)))

    def _drop(self, name: str) -> None:
        """Forget a request that nobody waits for, here and at the host."""
        with self._lock:
            call = self._calls.pop(name, None)
        if call is not None and not self._link.broken:
            self._link.send(*call.cancel())

    def _drop_ended(self, name: str, call: Call) -> None:
        if call.ended:
            with self._lock:
                self._calls.pop(name, None)

    def _fail(self, name: str, error: EngineFailed) -> None:
        with self._lock:
            call = self._calls.pop(name, None)
        if call is not None:
            call.fail(error)

    def _lost(self, error: EngineFailed) -> None:
        """Fail all that is under way."""
        for name in list(self._calls):
            self._fail(name, error)

    def _check_hello(self, hello: messages.Hello) -> None:
        """Raises EngineFailed for a host that would not do what it is asked, or not to this model."""
        if hello.protocol != messages.PROTOCOL:
            raise EngineFailed(f"the vLLM host speaks protocol {hello.protocol}, not {messages.PROTOCOL}; update both")
        if not hello.plugin:
            raise EngineFailed("the vLLM host has no masks: its plugin is not active")
        if hello.fingerprint != self._expected:
            raise EngineFailed(
                "the vLLM host serves another checkpoint than CANDOR_MODEL_DIRECTORY; masks would name other owners' "
                "experts. Start it again on the same files"
            )
        if self._hello is not None and hello != self._hello:
            raise EngineFailed("the vLLM host came back with other limits than before; restart the model service")
