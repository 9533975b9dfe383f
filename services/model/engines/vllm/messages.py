"""The messages of candor_vllm.host's protocol, as the engine writes and reads them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.model.engines.base import EngineFailed, Generation, RouteTask, ScoreTask

PROTOCOL = 2

MAX_LINE = 1 << 30
"""Bytes of a message from the host: the scores of a long text with twenty candidates at each position."""


class _Event(BaseModel):
    # a statistic that is not finite comes as null: it is refused, as it should be
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class Hello(_Event):
    """What the host serves; `ends`: tokens that end a sequence; `sequences`: that it takes at once, of all clients.

    `routing`: whether it can route.
    """

    event: Literal["hello"]
    protocol: int
    plugin: bool
    architecture: str
    experts: int
    active: int
    vocabulary: int
    max_length: int
    ends: frozenset[int] = Field(strict=False)
    fingerprint: str
    sequences: int
    routing: bool


class Generated(_Event):
    """Tokens of one sample, one entry a token in each list; `allowed`: the mask that vLLM's worker had for them."""

    event: Literal["tokens"]
    id: str
    choice: int
    allowed: list[int]
    tokens: list[int]
    logprobs: list[float]
    means: list[float]
    top: list[list[tuple[int, float]]] = Field(strict=False)
    routing: list[list[float]]
    finish: Literal["stop", "length"] | None


class Scored(_Event):
    """The scores of one sequence."""

    event: Literal["scored"]
    id: str
    allowed: list[int]
    logprobs: list[float]
    means: list[float]
    variances: list[float]
    top: list[list[tuple[int, float]]] = Field(strict=False)
    routing: list[float]


class Routed(_Event):
    """The routing of one sequence; `probabilities`: by token, layer and expert; `chosen`: by token, layer and slot."""

    event: Literal["routed"]
    id: str
    allowed: list[int]
    probabilities: list[list[list[float]]]
    chosen: list[list[list[int]]]
    predicted: list[int] | None


class Failed(_Event):
    """Why a request, or a line that was none, came to nothing."""

    event: Literal["failed"]
    id: str | None
    code: str
    message: str


class Pong(_Event):
    """The sign of life that a ping asks for."""

    event: Literal["pong"]


class _Named(BaseModel):
    id: str


Answer = Generated | Scored | Routed
Event = Hello | Answer | Failed | Pong

_events: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def parse(line: bytes) -> Event:
    """Read an event; one that makes no sense but names its request is the failure of that request.

    Raises EngineFailed for any other that this protocol does not have.
    """
    try:
        return _events.validate_json(line)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, wrong["loc"]))
        what = f"what it sent is no event of protocol {PROTOCOL}: {where}: {wrong['msg']}"
        try:
            call = _Named.model_validate_json(line).id
        except ValidationError:
            raise EngineFailed(f"the vLLM host: {what}") from error
        return Failed(event="failed", id=call, code="failed", message=what)


def ping() -> bytes:
    """Ask for a sign of life."""
    return _line(do="ping")


def generate(call: str, request: Generation) -> bytes:
    """Ask for samples."""
    sampling = request.sampling
    return _line(
        do="generate",
        id=call,
        prompt=request.prompt,
        allowed=sorted(request.allowed),
        n=request.n,
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        # as text: a seed may be larger than any integer of the other side
        seed=None if sampling.seed is None else str(sampling.seed),
        logit_bias=sampling.logit_bias,
        top=sampling.top_logprobs,
    )


def score(call: str, task: ScoreTask) -> bytes:
    """Ask for the scores of a sequence."""
    return _line(do="score", id=call, tokens=task.tokens, allowed=sorted(task.allowed), top=task.top)


def route(call: str, task: RouteTask) -> bytes:
    """Ask for the routing of a sequence."""
    return _line(do="route", id=call, tokens=task.tokens, allowed=sorted(task.allowed), predict=task.predict)


def cancel(call: str, choice: int | None = None) -> bytes:
    """Let go of a request, or of one of its samples."""
    return _line(do="cancel", id=call, choice=choice)


def _line(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
