"""What every engine of the model service offers: generation, scores and routing under masks. No HTTP here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from services.model.engines.factored import Change

import numpy as np
from numpy.typing import NDArray

from services.model.engines.memfree import NgramFilter

FinishReason = Literal["stop", "length"]
TopTokens = list[tuple[int, float]]


class EngineFailed(RuntimeError):
    """The engine could not compute a request; its message says why."""


class EngineBusy(EngineFailed):
    """The queue is full, or the machine behind it; try again later."""


class ExpertGone(EngineFailed):
    """An expert that a request may use has been removed: refused when it is named, failed when it ran for too long."""

    def __init__(self, number: int) -> None:
        super().__init__(f"expert {number} was removed")
        self.number = number


class BadExpert(ValueError):
    """A file is not an expert, not a whole one, or not of this model's shape."""


class OtherAnchor(BadExpert):
    """An expert was trained on another anchor than the model's, or the model does not say which is its own."""


class Unsupported(EngineFailed):
    """This engine cannot do it; the message says what to do instead."""


class TooLong(ValueError):
    """A sequence does not fit into the model, or into the memory the engine may use."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that an engine serves. `experts`: how many now; `active`: of them for each token; `max_length`:
    tokens of prompt and answer."""

    architecture: str
    experts: int
    active: int
    vocabulary: int
    max_length: int


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the tokens of a sequence are chosen and when it ends. Temperature 0 is greedy.

    `avoid`: no token may complete an n-gram of these, the prompt's tokens among it.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stops: tuple[str, ...] = ()
    top_logprobs: int = 0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    avoid: tuple[NgramFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class Generation:
    """A request: `n` samples of one prompt. `allowed`: numbers of the experts that may compute, at least one."""

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
    `end`: the last token, if it is one that ends a sequence: it has no text, so no delta has it among its tokens.
    """

    reason: FinishReason
    logprobs: list[float]
    means: list[float]
    routing: dict[int, float]
    end: Token | None = None


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
    """A sequence of tokens to score under a mask; `top`: how many candidates to report at each position.

    `own`: report the moments of log p under the distribution itself; `gradient`: the norm of the gradient.
    """

    tokens: tuple[int, ...]
    allowed: frozenset[int]
    top: int = 0
    own: bool = False
    gradient: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """Entry t speaks of token t + 1 given tokens 0..t: log p, and mean and variance of log p over the vocabulary.

    `routing`: by expert, its share of router probability over all layers and positions; sums to 1.
    `own_means`, `own_variances`: of log p under the distribution at t. `gradient`: see `gradients.gradient_norm`.
    """

    logprobs: list[float]
    means: list[float]
    variances: list[float]
    top: list[TopTokens]
    routing: dict[int, float]
    own_means: list[float] | None = None
    own_variances: list[float] | None = None
    gradient: float | None = None


@dataclass(frozen=True, slots=True)
class RouteTask:
    """A sequence of tokens to route under a mask; `predict`: also the token the model would choose next, greedily."""

    tokens: tuple[int, ...]
    allowed: frozenset[int]
    predict: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Routing:
    """Where the routers sent each token of a sequence.

    `experts`: the numbers of the experts that the columns of `probabilities` speak of.
    `probabilities`: (tokens, layers, experts) fp32, sums to 1 over the experts, 0 for one left out.
    `chosen`: (tokens, layers, k) int64, numbers of the experts that computed, the most probable first; -1 in a
    slot that no allowed expert filled.
    `predicted`: (tokens,) int64, the most probable token after each; None when not asked for.
    """

    experts: tuple[int, ...]
    probabilities: NDArray[np.float32]
    chosen: NDArray[np.int64]
    predicted: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class ExpertLayer:
    """An expert in one layer, in the dtype that the model computes in: its FFN, and its router row, (hidden,)."""

    ffn: Change
    router: Tensor


@dataclass(frozen=True, slots=True)
class NewExpert:
    """An expert read from its owner's file and found fit to join the model. `tokens`: how many it was trained on."""

    owner: str
    licence: str | None
    tokens: int | None
    layers: Sequence[ExpertLayer]


class Engine(Protocol):
    """A model that computes for many requests at once, each under its own mask.

    Experts have numbers: first their places in the checkpoint, then one more for each that joins. A number is never
    given again, so that a mask means the same experts for as long as the engine lives.
    """

    @property
    def info(self) -> ModelInfo:
        """The model served."""
        ...

    def submit(self, request: Generation, deliver: Deliver) -> Callable[[], None]:
        """Queue a request; the result cancels it.

        Raises EngineBusy, TooLong, ExpertGone, and Unsupported for `avoid` from an engine that cannot.
        """
        ...

    def score(self, tasks: Sequence[ScoreTask]) -> Future[list[Score]]:
        """Queue sequences to score. Raises EngineBusy, TooLong, ExpertGone; the future may raise EngineFailed.

        Raises Unsupported for moments or a gradient that the engine cannot tell.
        """
        ...

    def check_joining(self) -> None:
        """Whether any expert can join: to be asked before one is sent.

        Raises Unsupported from an engine whose experts are fixed, OtherAnchor when the model does not say what its is.
        """
        ...

    def read(self, file: Path) -> NewExpert:
        """Read an expert's file and check it against the model, which takes a second or more and changes nothing.

        Raises BadExpert, OtherAnchor, and Unsupported from an engine whose experts are fixed.
        """
        ...

    def add(self, expert: NewExpert) -> Future[int]:
        """Let an expert join between two steps; its number, once it can compute. Raises EngineFailed."""
        ...

    def remove(self, number: int, patience: float) -> Future[None]:
        """Remove an expert: refused to new requests at once, used by none when the future ends, and gone from memory
        where the engine can let go of it.

        Requests that may use it have `patience` seconds to end and then fail with ExpertGone. Raises ExpertGone when
        it is gone already, EngineFailed.
        """
        ...

    def route(self, tasks: Sequence[RouteTask]) -> Future[list[Routing]]:
        """Queue sequences to route. Raises EngineBusy, TooLong; the future may raise EngineFailed."""
        ...

    def close(self) -> None:
        """Stop; what is running fails with EngineFailed."""
        ...
