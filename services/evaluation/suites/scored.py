"""What POST /v1/score says of texts, read and checked."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from services.evaluation.endpoint import Reply
from services.evaluation.suites.base import BadAnswer

_ROUNDING = 1e-4
"""Of a logarithm that is a difference of two in single precision."""


def one_text(reply: Reply, *, off: Sequence[str] = ()) -> Mapping[str, Any]:
    """The scores of a request of one text, as `texts`."""
    [found] = texts(reply, 1, off=off)
    return found


def texts(
    reply: Reply, count: int, *, off: Sequence[str] = (), only: Collection[str] | None = None
) -> list[Mapping[str, Any]]:
    """The scores of a request of so many texts, each with a token to score at least.

    `off`: experts that must not have computed; `only`: those that may have, if nobody else may. Both are held against
    the mask that a text was scored under and against where its tokens went. Raises BadAnswer for anything else.
    """
    try:
        found: list[Mapping[str, Any]] = [
            {**one, "logprobs": [float(value) for value in one["logprobs"]], "experts": _computed(one)}
            for one in reply.body["data"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadAnswer(f"these are no scores: {str(reply.body)[:200]}") from error
    if len(found) != count:
        raise BadAnswer(f"{len(found)} texts were scored of {count}")
    for one in found:
        if not one["logprobs"]:
            raise BadAnswer("a text of one token has no score")
        if wrong := [value for value in one["logprobs"] if not -math.inf < value <= _ROUNDING]:
            raise BadAnswer(f"a token was scored with the logarithm {wrong[0]:g}, which is of no probability")
        beyond = {*one["experts"]} & {*off} if only is None else {*one["experts"]} - {*only}
        if beyond:
            raise BadAnswer(f"the expert {min(beyond)} was left out and took part all the same")
    return found


def _computed(one: Mapping[str, Any]) -> list[str]:
    """The experts of the mask, and any that the routing names beside."""
    routed = [str(expert) for expert, share in (one.get("routing") or {}).items() if float(share) > 0]
    return [*dict.fromkeys([*map(str, one["experts"]), *routed])]
