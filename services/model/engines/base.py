"""What every engine of the model service offers: generation and scores under masks of experts. No HTTP here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal, Protocol

FinishReason = Literal["stop", "length"]
TopTokens = list[tuple[int, float]]


class EngineBusy(RuntimeError):
    """The queue is full; try again later."""


class EngineFailed(RuntimeError):
    """The engine could not compute a request; its message says why."""


class TooLong(ValueError):
    """A sequence does not fit into the model, or into the memory the engine may use."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that an engine serves. `active`: experts per token; `max_length`: tokens of prompt and answer."""

    architecture: str
    experts: int
    active: int
    vocabulary: int
    max_length: int


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the tokens of a sequence are chosen and when it ends. Temperature 0 is greedy."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stops: tuple[str, ...] = ()
    top_logprobs: int = 0
    logit_bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Generation:
    """A request: `n` samples of one prompt. `allowed`: indices of the experts that may compute, at least one."""

    prompt: tuple[int, ...]
    allowed: frozenset[int]
    sampling: Sampling
    n: int = 1


@dataclass(frozen=True, slots=True)
class Token:
    """A generated token. `start`: code point of the sample's text at which its own text begins."""

    id: int
    start: int
    logprob: float
    top: TopTokens


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a sample: of each of its tokens log p and the vocabulary's mean of log p (nats).

    `routing`: by expert, its share of router probability over all layers and generated tokens; sums to 1.
    """

    reason: FinishReason
    logprobs: list[float]
    means: list[float]
    routing: dict[int, float]


@dataclass(frozen=True, slots=True)
class Delta:
    """What one step adds to sample `choice`: text that is certain, the tokens it begins with, perhaps the end."""

    choice: int
    text: str
    tokens: list[Token]
    finish: Finish | None = None


Deliver = Callable[[list[Delta] | EngineFailed], None]
"""Takes what a step adds to a request, or why it failed. Called on the engine's thread: must not block."""


Notice = Callable[[str | None], None]
"""Told why an engine can serve no more, and None when it can again. Called on the engine's thread."""


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """A sequence of tokens to score under a mask; `top`: how many candidates to report at each position."""

    tokens: tuple[int, ...]
    allowed: frozenset[int]
    top: int = 0


@dataclass(frozen=True, slots=True)
class Score:
    """Entry t speaks of token t + 1 given tokens 0..t: log p, and mean and variance of log p over the vocabulary.

    `routing`: by expert, its share of router probability over all layers and positions; sums to 1.
    """

    logprobs: list[float]
    means: list[float]
    variances: list[float]
    top: list[TopTokens]
    routing: dict[int, float]


class Engine(Protocol):
    """A model that computes for many requests at once, each under its own mask."""

    @property
    def info(self) -> ModelInfo:
        """The model served."""
        ...

    def submit(self, request: Generation, deliver: Deliver) -> Callable[[], None]:
        """Queue a request; the result cancels it. Raises EngineBusy, TooLong."""
        ...

    def score(self, tasks: Sequence[ScoreTask]) -> Future[list[Score]]:
        """Queue sequences to score. Raises EngineBusy, TooLong; the future may raise EngineFailed."""
        ...

    def close(self) -> None:
        """Stop; what is running fails with EngineFailed."""
        ...
