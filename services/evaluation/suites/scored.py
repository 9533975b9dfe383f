"""What POST /v1/score says of one text, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.evaluation.endpoint import Reply
from services.evaluation.suites.base import BadAnswer


def one_text(reply: Reply, *, off: list[str] | None = None) -> Mapping[str, Any]:
    """The scores of a request of one text, which has a token to score at least.

    `off`: experts that must not have computed. Raises BadAnswer for anything else.
    """
    try:
        [found] = reply.body["data"]
        logprobs, experts = [float(one) for one in found["logprobs"]], [str(one) for one in found["experts"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"this is no score of one text: {str(reply.body)[:200]}") from error
    if not logprobs:
        raise BadAnswer("a text of one token has no score")
    if not_off := sorted({*experts} & {*(off or [])}):
        raise BadAnswer(f"the expert {not_off[0]} was left out and took part all the same")
    return {**found, "logprobs": logprobs, "experts": experts}
