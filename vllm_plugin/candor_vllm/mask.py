"""A request's mask as it travels: the experts that may compute, as text such as ``0,2``.

``SamplingParams.extra_args["experts_on"]`` (over HTTP: ``vllm_xargs``) carries it. Text, because that is what
survives JSON, msgpack and a command line unchanged, and because equal masks are then equal strings.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

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


@lru_cache(maxsize=4096)
def row(text: str, experts: int) -> NDArray[np.bool_]:
    """(experts,) True where `text` forbids the expert; read-only. Raises BadMask."""
    forbidden = np.ones(experts, dtype=np.bool_)
    forbidden[list(parse(text, experts))] = False
    forbidden.flags.writeable = False
    return forbidden


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
