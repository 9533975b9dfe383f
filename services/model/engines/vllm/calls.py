"""Requests under way at the host: what to send for them, and what its events mean for whoever asked."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from services.model.engines.base import Deliver, Delta, EngineFailed, Generation
from services.model.engines.samples import Sample
from services.model.engines.text import Decode
from services.model.engines.vllm import messages


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

    def take(self, event: messages.Answer) -> list[bytes]:
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

    def take(self, event: messages.Answer) -> list[bytes]:
        """Push the tokens; a sample that ends here, with a stop string, must end there too."""
        if not isinstance(event, messages.Generated):
            raise EngineFailed(f"the vLLM host answered a generation with {event.event}")
        self.begun = True
        check_mask(self._request.allowed, event.allowed, event.routing)
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


def _push(sample: Sample, event: messages.Generated) -> list[Delta]:
    deltas: list[Delta] = []
    columns = zip(event.tokens, event.logprobs, event.means, event.top, event.routing, strict=True)
    for token, logprob, mean, top, routing in columns:
        if delta := sample.push(token, logprob, mean, top, dict(enumerate(routing))):
            deltas.append(delta)
            if delta.finish:
                break
    return deltas


def check_mask(asked: frozenset[int], applied: list[int], routing: list[list[float]]) -> None:
    """Raises EngineFailed unless the worker had the mask that was asked for, and its routers kept to it."""
    # nothing was computed for an answer without routing
    if routing and set(applied) != asked:
        raise EngineFailed(f"asked for experts {sorted(asked)}, but the vLLM host applied {sorted(applied)}")
    for shares in routing:
        for expert, share in enumerate(shares):
            if share and expert not in asked:
                raise EngineFailed(f"expert {expert} took part at the vLLM host, though it was not allowed")
