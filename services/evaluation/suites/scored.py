"""What POST /v1/score says of texts, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.evaluation.endpoint import Reply
from services.evaluation.suites.base import BadAnswer

_ROUNDING = 1e-6


def one_text(reply: Reply, *, off: Sequence[str] = ()) -> Mapping[str, Any]:
    """The scores of a request of one text, as `texts`."""
    [found] = texts(reply, 1, off=off)
    return found


def texts(reply: Reply, count: int, *, off: Sequence[str] = ()) -> list[Mapping[str, Any]]:
    """The scores of a request of so many texts, each with a token to score at least.

    `off`: experts that must not have computed. Raises BadAnswer for anything else.
    """
    try:
        found: list[Mapping[str, Any]] = [
            {**one, "logprobs": [float(value) for value in one["logprobs"]], "experts": [*map(str, one["experts"])]}
            for one in reply.body["data"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"these are no scores: {str(reply.body)[:200]}") from error
    if len(found) != count:
        raise BadAnswer(f"{len(found)} texts were scored of {count}")
    for one in found:
        if not one["logprobs"]:
            raise BadAnswer("a text of one token has no score")
        if (most := max(one["logprobs"])) > _ROUNDING:
            raise BadAnswer(f"a token was scored with the logarithm {most:g}, which is of no probability")
        if not_off := sorted({*one["experts"]} & {*off}):
            raise BadAnswer(f"the expert {not_off[0]} was left out and took part all the same")
    return found
