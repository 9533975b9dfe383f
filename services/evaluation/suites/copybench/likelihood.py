"""How likely texts are after another, to experts that are the same whatever is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites.base import BadAnswer
from services.evaluation.suites.scored import texts


@dataclass(frozen=True)
class Likelihood:
    """Through /v1/score by the experts of `owners`: a judge that changed with the setting would be measured with it.

    `off`: the experts of everybody else, none of which may have computed. `item`: on whose behalf it is asked.
    """

    endpoint: Endpoint
    owners: Sequence[str]
    off: Sequence[str]
    item: str

    async def after(self, before: str, found: Sequence[str]) -> list[tuple[float, int]]:
        """log p of each text (nats) after `before` and a space, and its tokens. Raises EndpointError, BadAnswer."""
        whole = [before, *(f"{before} {text}" for text in found)]
        reply = await self.endpoint.post("/v1/score", {"texts": whole, "owners": [*self.owners]}, item=self.item)
        first, *rest = texts(reply, len(whole), off=self.off)
        start = len(first["logprobs"])
        if any(len(one["logprobs"]) <= start for one in rest):
            raise BadAnswer("the judge scored a text of no token")
        return [(sum(one["logprobs"][start:]), len(one["logprobs"]) - start) for one in rest]
