"""The engine on vLLM: requests go to candor_vllm.host, its tokens become text and statistics here."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from services.model.engines.base import (
    Deliver,
    EngineBusy,
    EngineFailed,
    ExpertGone,
    Generation,
    ModelInfo,
    NewExpert,
    Notice,
    RouteTask,
    Routing,
    Score,
    ScoreTask,
    TooLong,
    Unsupported,
)
from services.model.engines.changes import Removal
from services.model.engines.text import Decode
from services.model.engines.vllm import messages
from services.model.engines.vllm.calls import Call, GenerateCall
from services.model.engines.vllm.fingerprint import fingerprint
from services.model.engines.vllm.hosts import Host
from services.model.engines.vllm.link import Link
from services.model.engines.vllm.texts import RouteCall, ScoreCall

_LOOK_SECONDS = 0.05
"""Between two looks whether anything still uses an expert that was removed."""


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
        self._removed: set[int] = set()
        self._leaving: list[Removal] = []
        self._expected = fingerprint(directory)
        self._link = Link(host, self._check_hello, self._take, self._lost, notice)
        self._hello: messages.Hello | None = None
        hello = self._hello = self._link.start(stopping or threading.Event())
        self._ends, self._sequences, self._routes = hello.ends, hello.sequences, hello.routing
        self._info = ModelInfo(hello.architecture, hello.experts, hello.active, hello.vocabulary, hello.max_length)

    @property
    def info(self) -> ModelInfo:
        """The model served."""
        return replace(self._info, experts=self._info.experts - len(self._removed))

    def submit(self, request: Generation, deliver: Deliver) -> Callable[[], None]:
        """Queue a request; the result cancels it.

        Raises EngineBusy, TooLong, ExpertGone, ValueError for an expert that never was, and Unsupported for `avoid`.
        """
        if request.sampling.avoid:
            raise Unsupported("vLLM has no MemFree decoding here: serve with CANDOR_MODEL_ENGINE=transformers")
        self._check(len(request.prompt), request.sampling.max_tokens)
        return self._queued(GenerateCall(request, deliver, self._decode, self._ends), [request.allowed])

    def score(self, tasks: Sequence[ScoreTask]) -> Future[list[Score]]:
        """Queue sequences to score.

        Raises EngineBusy, TooLong, ExpertGone, ValueError for an expert that never was, or no token, and Unsupported
        for moments or a gradient, of which the host tells nothing.
        """
        if any(task.own or task.gradient for task in tasks):
            raise Unsupported(
                "vLLM tells neither own_moments nor gradient_norm: serve with CANDOR_MODEL_ENGINE=transformers"
            )
        call = ScoreCall(tasks)
        self._queue_texts(call, tasks)
        return call.future

    def route(self, tasks: Sequence[RouteTask]) -> Future[list[Routing]]:
        """Queue sequences to route. Raises as `score` does, and Unsupported for a vLLM whose steps are compiled."""
        if not self._routes:
            raise Unsupported(
                "vLLM cannot tell the routing of compiled steps: start it with enforce_eager, serve with "
                "CANDOR_MODEL_ENGINE=transformers, or use candor model analyse on the checkpoint's folder"
            )
        with self._lock:
            left = sorted(set(range(self._info.experts)) - self._removed)
        call = RouteCall(tasks, left, self._info.active)
        self._queue_texts(call, tasks)
        return call.future

    def check_joining(self) -> NoReturn:
        """Raises Unsupported: vLLM holds the experts of a layer as one piece of its worker's memory."""
        raise Unsupported(
            "experts cannot join a running vLLM: merge the file into a checkpoint (candor model merge) and restart "
            "with CANDOR_MODEL_DIRECTORY naming it, or serve with CANDOR_MODEL_ENGINE=transformers"
        )

    def read(self, file: Path) -> NoReturn:
        """Raises Unsupported, as `check_joining` does before."""
        raise Unsupported(f"the expert in {file.name} cannot join a running vLLM")

    def add(self, expert: NewExpert) -> NoReturn:
        """Raises Unsupported, as `check_joining` does before."""
        raise Unsupported(f"the expert of {expert.owner} cannot join a running vLLM")

    def remove(self, number: int, patience: float) -> Future[None]:
        """Never let an expert compute again: refused to new requests at once, used by none when the future ends.

        Requests that may use it have `patience` seconds to end and then fail with ExpertGone. Its weights stay in
        vLLM's memory, out of reach, until the host is started on a checkpoint without it. Raises ExpertGone when it
        was removed already, ValueError when it never was or is the last one, EngineFailed.
        """
        with self._lock:
            self._check_mask(frozenset({number}))
            if len(self._removed) + 1 == self._info.experts:
                raise ValueError("the last expert of a model cannot be removed")
            self._removed.add(number)
            removal = Removal(number, time.monotonic() + patience)
            self._leaving.append(removal)
        if not self._link.soon(lambda: self._leave(removal)):
            raise EngineFailed(self._link.broken)
        return removal.future

    def close(self) -> None:
        """Stop, and the host if it is ours; what is running fails with EngineFailed."""
        self._link.close()

    def _check(self, prompt: int, new: int) -> None:
        if not prompt:
            raise ValueError("a sequence needs at least one token")
        if prompt + new > self._info.max_length:
            raise TooLong(f"{prompt} tokens and {new} to come are more than the {self._info.max_length} that fit")

    def _check_mask(self, allowed: frozenset[int]) -> None:
        """Holding the lock: an expert that was removed is refused from that moment on."""
        if unknown := allowed - set(range(self._info.experts)):
            raise ValueError(f"the model has no expert {min(unknown)}; it has {self._info.experts}")
        for number in allowed & self._removed:
            raise ExpertGone(number)

    def _queue_texts(self, call: ScoreCall | RouteCall, tasks: Sequence[ScoreTask] | Sequence[RouteTask]) -> None:
        for task in tasks:
            self._check(len(task.tokens), 0)
        cancel = self._queued(call, {task.allowed for task in tasks})
        call.future.add_done_callback(lambda future: cancel() if future.cancelled() else None)

    def _queued(self, call: Call, masks: Iterable[frozenset[int]]) -> Callable[[], None]:
        with self._lock:
            for allowed in masks:
                if not allowed:
                    raise ValueError("a sequence must allow at least one expert")
                self._check_mask(allowed)
            under_way = sum(other.sequences for other in self._calls.values())
            if under_way + call.sequences > self._sequences:
                raise EngineBusy(
                    f"{under_way} of the {self._sequences} sequences that the vLLM host takes are under way"
                )
            waiting = sum(not other.begun for other in self._calls.values() if type(other) is type(call))
            if waiting >= self._queue:
                raise EngineBusy(f"{waiting} requests are waiting already")
            name = str(next(self._numbers))
            self._calls[name] = call
        if not self._link.soon(lambda: self._start(name)):
            with self._lock:
                del self._calls[name]
            raise EngineFailed(self._link.broken)

        def cancel() -> None:
            self._link.soon(lambda: self._drop(name))

        return cancel

    # From here on: on the link's thread.

    def _start(self, name: str) -> None:
        call = self._calls.get(name)
        if call is None:
            return
        if self._link.broken:
            self._fail(name, EngineFailed(self._link.broken))
            return
        try:
            self._link.send(*call.start(name))
            self._drop_ended(name, call)
        except Exception as error:
            self._give_up(name, call, error)

    def _take(self, event: messages.Answer | messages.Failed) -> None:
        name = (event.id or "").partition("/")[0]
        call = self._calls.get(name)
        if call is None:
            # sent before it heard that nobody waits any more
            return
        try:
            if isinstance(event, messages.Failed):
                refusal = EngineBusy if event.code == "busy" else EngineFailed
                raise refusal(f"the vLLM host: {event.message}")
            self._link.send(*call.take(event))
            self._drop_ended(name, call)
        except Exception as error:
            self._give_up(name, call, error)

    def _give_up(self, name: str, call: Call, error: Exception) -> None:
        """End a request that cannot go on, here and at the host."""
        if not isinstance(error, EngineFailed):
            error = EngineFailed(f"the exchange with the vLLM host failed: {type(error).__name__}: {error}")
        self._fail(name, error)
        self._link.send(*call.cancel())

    def _leave(self, removal: Removal) -> None:
        """End a removal once nothing uses the expert, or its time is over."""
        with self._lock:
            using = [(name, call) for name, call in self._calls.items() if removal.number in call.experts]
            waits = removal in self._leaving
        if not waits:
            # ended when the connection was lost
            return
        if using and not removal.overdue():
            self._link.later(_LOOK_SECONDS, lambda: self._leave(removal))
            return
        for name, _ in using:
            self._fail(name, ExpertGone(removal.number))
        with self._lock:
            self._leaving.remove(removal)
        try:
            for _, call in using:
                self._link.send(*call.cancel())
        except Exception as error:
            removal.fail(EngineFailed(f"requests that use expert {removal.number} could not be ended: {error}"))
        else:
            removal.future.set_result(None)

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
        """Fail all that is under way; what was to leave has left, since nothing uses it any more."""
        with self._lock:
            calls, left = list(self._calls), self._leaving
            self._leaving = []
        for name in calls:
            self._fail(name, error)
        for removal in left:
            removal.future.set_result(None)

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
