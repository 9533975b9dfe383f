"""A request's mask as it travels: the experts that may compute, as text such as ``0,2``.

``SamplingParams.extra_args["experts_on"]`` (over HTTP: ``vllm_xargs``) carries it. Text, because that is what
survives JSON, msgpack and a command line unchanged, and because equal masks are then equal strings.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

FIELD = "experts_on"

_LIST = re.compile(r"[0-9]{1,4}(,[0-9]{1,4})*")


class BadMask(ValueError):
    """A request's mask cannot be understood or names an expert that the model does not have."""


def parse(value: object, experts: int) -> frozenset[int]:
    """The experts that a mask allows, at least one. Raises BadMask."""
    if not isinstance(value, str) or not _LIST.fullmatch(value):
        raise BadMask(
            f"{FIELD} must be the ids of the experts that may compute, at least one, as in '0,2'; it is {value!r}."
        )
    allowed = frozenset(map(int, value.split(",")))
    if unknown := [expert for expert in allowed if expert >= experts]:
        raise BadMask(f"{FIELD} names expert {min(unknown)}, but the model has the experts 0 to {experts - 1}.")
    return allowed


def render(allowed: frozenset[int]) -> str:
    """The one way to write a mask."""
    return ",".join(map(str, sorted(allowed)))


def salt(text: str, client: str | None) -> str:
    """The prefix cache's salt under a mask: equal exactly if the mask and the client's own salt are."""
    return f"experts {text}" if client is None else f"experts {text}; {client}"


def public_experts(checkpoint: str, experts: int) -> frozenset[int]:
    """The experts that compute for a request that names none: those that belong to no owner.

    They are the ones without an ``owner`` in the checkpoint's ``candor.json``; without that file expert 0, as in
    FlexOlmo's own releases. Raises ValueError when the file speaks of another model or leaves nobody.
    """
    card = Path(checkpoint) / "candor.json"
    if not card.is_file():
        return frozenset({0})
    entries = json.loads(card.read_text(encoding="utf-8"))["experts"]
    if len(entries) != experts:
        raise ValueError(f"{card} lists {len(entries)} experts, but the model has {experts}.")
    found = frozenset(number for number, entry in enumerate(entries) if not entry.get("owner"))
    if not found:
        raise ValueError(f"{card}: every expert belongs to an owner; a request without a mask would have none.")
    return found


class Masks:
    """The worker's side: from a request's parameters, which the front process has completed, its row.

    One without a mask, such as a runner's own warm-up, gets the public experts.
    """

    def __init__(self, experts: int, public: frozenset[int]) -> None:
        self._experts = experts
        self._public = render(public)
        # by text, not by request: nothing to forget when a request ends, and a batch of one mask shares one row
        self._row = lru_cache(maxsize=4096)(self._build)

    @classmethod
    def of(cls, model_config: Any) -> Self:
        """From vLLM's ModelConfig. Raises ValueError as `public_experts` does."""
        experts = model_config.get_num_experts()
        return cls(experts, public_experts(model_config.model, experts))

    def row(self, params: Any) -> NDArray[np.bool_]:
        """(experts,) True where the request (vLLM's SamplingParams, or None) forbids the expert; read-only."""
        extra = getattr(params, "extra_args", None)
        return self._row(extra.get(FIELD, self._public) if extra else self._public)

    def _build(self, text: str) -> NDArray[np.bool_]:
        forbidden = np.ones(self._experts, dtype=np.bool_)
        forbidden[list(parse(text, self._experts))] = False
        forbidden.flags.writeable = False
        return forbidden
