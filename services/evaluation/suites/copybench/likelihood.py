"""How likely texts are after another, to experts that are the same whatever is judged."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites import scored
from services.evaluation.suites.base import BadAnswer


@dataclass(frozen=True)
class Likelihood:
    """Through /v1/score by the experts of `owners`: a judge that changed with the setting would be measured with it.

    `experts`: the names of those experts; nobody else's may have computed. `item`: on whose behalf it is asked.
    """

    endpoint: Endpoint
    owners: Sequence[str]
    experts: Collection[str]
    item: str

    async def after(self, before: str, texts: Sequence[str]) -> list[tuple[float, int]]:
        """log p of each text (nats) after `before` and a space, and its tokens. Raises EndpointError, BadAnswer."""
        whole = [before, *(f"{before} {text}" for text in texts)]
        reply = await self.endpoint.post("/v1/score", {"texts": whole, "owners": [*self.owners]}, item=self.item)
        first, *rest = scored.texts(reply, len(whole), only=self.experts)
        beginning = _tokens(first)
        found = []
        for one in rest:
            if _tokens(one)[: len(beginning)] != beginning:
                raise BadAnswer("the judge's tokenizer joins a text with what stands before it")
            after = one["logprobs"][len(beginning) - 1 :]
            if not after:
                raise BadAnswer("the judge scored a text of no token")
            found.append((sum(after), len(after)))
        return found


def _tokens(one: Mapping[str, Any]) -> list[int]:
    """Of a scored text; every one but the first has a score. Raises BadAnswer."""
    try:
        tokens = [int(token) for token in one["tokens"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer("the judge's scores have no tokens") from error
    if len(tokens) != len(one["logprobs"]) + 1:
        raise BadAnswer("the judge has not scored every token but the first")
    return tokens
