"""The messages between the model service and the host, and their bounds."""

from __future__ import annotations

from itertools import chain
from math import isfinite
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from candor_vllm import TOP

PROTOCOL = 2
"""Changes whenever one side would misunderstand the other."""

MAX_LINE = 16 << 20
"""Bytes of a message to the host; a longer one ends the connection."""

MAX_SEQUENCES = 4096
"""Samples and scores under way at once, over all connections."""

Token = Annotated[int, Meta(ge=0)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Top = Annotated[int, Meta(ge=0, le=TOP)]
Experts = Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1)]
Tokens = Annotated[list[Token], Meta(min_length=1)]
TopTokens = list[tuple[int, float]]
"""(token, log p), most probable first."""


class Generate(Struct, tag_field="do", tag="generate", forbid_unknown_fields=True, frozen=True):
    """Generate `n` samples. Temperature 0 is greedy; a seed gives each sample random numbers of its own."""

    id: Id
    prompt: Tokens
    allowed: Experts
    max_tokens: Annotated[int, Meta(ge=1)]
    n: Annotated[int, Meta(ge=1, le=256)] = 1
    temperature: Annotated[float, Meta(ge=0)] = 1.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    seed: str | None = None
    logit_bias: dict[Token, Annotated[float, Meta(ge=-100, le=100)]] = {}
    top: Top = 0


class Score(Struct, tag_field="do", tag="score", forbid_unknown_fields=True, frozen=True):
    """Score a sequence of tokens."""

    id: Id
    tokens: Tokens
    allowed: Experts
    top: Top = 0


class Route(Struct, tag_field="do", tag="route", forbid_unknown_fields=True, frozen=True):
    """Route a sequence of tokens; `predict`: also the most probable token after each."""

    id: Id
    tokens: Tokens
    allowed: Experts
    predict: bool = False


class Cancel(Struct, tag_field="do", tag="cancel", forbid_unknown_fields=True, frozen=True):
    """Stop a request, or one sample of it."""

    id: Id
    choice: Annotated[int, Meta(ge=0)] | None = None


class Ping(Struct, tag_field="do", tag="ping", forbid_unknown_fields=True, frozen=True):
    """Ask for a sign of life."""


Request = Generate | Score | Route | Cancel | Ping


class Hello(Struct, tag_field="event", tag="hello", frozen=True):
    """What is served. `ends`: tokens that end a sequence. `fingerprint`: of the checkpoint, see the module.

    `routing`: whether it can route, which a compiled step cannot. `sequences`: samples, scores and routings that may be
    under way at once, over all connections; more are `busy`.
    """

    architecture: str
    experts: int
    active: int
    vocabulary: int
    max_length: int
    ends: list[int]
    fingerprint: str
    plugin: bool
    routing: bool
    sequences: int = MAX_SEQUENCES
    protocol: int = PROTOCOL


class Generated(Struct, tag_field="event", tag="tokens", frozen=True):
    """What was added to a sample: one entry a token in each list; `routing` by expert, averaged over the layers.

    `allowed`: the mask that the worker laid for these tokens, as it reports it; empty when there are none.
    """

    id: str
    choice: int
    allowed: list[int]
    tokens: list[int]
    logprobs: list[float]
    means: list[float]
    top: list[TopTokens]
    routing: list[list[float]]
    finish: Literal["stop", "length"] | None


class Scored(Struct, tag_field="event", tag="scored", frozen=True):
    """A sequence's scores: entry t speaks of token t + 1; `routing` is averaged over layers and positions."""

    id: str
    allowed: list[int]
    logprobs: list[float]
    means: list[float]
    variances: list[float]
    top: list[TopTokens]
    routing: list[float]


class Routed(Struct, tag_field="event", tag="routed", frozen=True):
    """A sequence's `probabilities`, by token, layer and expert, and the experts chosen, by token, layer and slot.

    -1 in a slot that no allowed expert filled. `predicted`: null when it was not asked for.
    """

    id: str
    allowed: list[int]
    probabilities: list[list[list[float]]]
    chosen: list[list[list[int]]]
    predicted: list[int] | None


class Failed(Struct, tag_field="event", tag="failed", frozen=True):
    """`invalid`: the request is wrong. `busy`: too many at once. `failed`: the engine could not compute it."""

    id: str | None
    code: Literal["invalid", "busy", "failed"]
    message: str


class Pong(Struct, tag_field="event", tag="pong", frozen=True):
    """The sign of life; `under_way`: samples and scores that are being computed, over all connections."""

    under_way: int


Event = Hello | Generated | Scored | Routed | Failed | Pong


class Invalid(ValueError):
    """A message that cannot be understood, or a request that the model cannot serve."""


_decoder = msgspec.json.Decoder(Request)
_encoder = msgspec.json.Encoder()


def decode(line: bytes) -> Request:
    """Read a request. Raises Invalid, naming the field."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"not a request of protocol {PROTOCOL}: {error}") from error


def id_of(line: bytes) -> str | None:
    """The id of a request that may be wrong in everything else."""
    try:
        found = msgspec.json.decode(line, type=_Named).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found


def check_finite(event: Generated | Scored | Routed) -> None:
    """Raises ValueError when a number in it is not finite: JSON has none such, and it is no result."""
    numbers: chain[float]
    if isinstance(event, Routed):
        numbers = chain.from_iterable(chain.from_iterable(event.probabilities))
    else:
        routing = [event.routing] if isinstance(event, Scored) else event.routing
        variances = event.variances if isinstance(event, Scored) else []
        top = (logprob for candidates in event.top for _, logprob in candidates)
        numbers = chain(event.logprobs, event.means, variances, top, *routing)
    if not all(map(isfinite, numbers)):
        raise ValueError("the model computed a number that is not finite; are an expert's weights damaged?")


def encode(event: Event) -> bytes:
    """Write an event as a line."""
    return _encoder.encode(event) + b"\n"


class _Named(Struct):
    id: Id
