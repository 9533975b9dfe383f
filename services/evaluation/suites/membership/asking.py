"""What the attacks ask of the endpoint about one text under one setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.evaluation.endpoint import Endpoint
from services.evaluation.metrics.membership import loss
from services.evaluation.suites.base import Answer, BadAnswer, Planned
from services.evaluation.suites.membership.corpus import Frequencies, tokens
from services.evaluation.suites.membership.neighbours import neighbours, proposals
from services.evaluation.suites.scored import texts

_DIGITS = 7
"""Decimals kept of a log-probability."""


class Asking:
    """Asks for one item. Keeps what is the same for all: how frequent tokens are in public text."""

    def __init__(self, frequencies: Frequencies) -> None:
        self._frequencies = frequencies

    async def ask(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """All that the item's attacks need, under its mask. Raises EndpointError or BadAnswer."""
        ask, text = planned.ask, planned.question
        call = _Call(endpoint, planned)
        own = await call.own()
        details: dict[str, Any] = {
            "attacks": ask["attacks"],
            "experts": own["experts"],
            "logprobs": _rounded(own["logprobs"]),
            **_own(own, ask["attacks"]),
        }
        if ask["reference"] is not None:
            [found] = await call.scored({"texts": [text]}, ask["reference"])
            details["reference"] = loss(found["logprobs"])
        if "recall" in ask["attacks"] and ask["prefix"]:
            details["after_prefix"] = await call.after_prefix(len(own["logprobs"]))
        if "neighbourhood" in ask["attacks"]:
            places = await proposals(endpoint, text, ask["public"], planned.id)
            if made := neighbours(text, places, ask["neighbours"], planned.seed):
                found_all = await call.scored({"texts": made}, ask["owners"])
                details["neighbours"] = _rounded([loss(one["logprobs"]) for one in found_all])
        if "dc_pdd" in ask["attacks"]:
            corpus = Path(ask["home"]), tuple(ask["public"]), ask["corpus"]
            counts, total = await self._frequencies.of(*corpus, endpoint, planned.id)
            scored = _tokens(own)
            known = {str(token): counts[token] for token in dict.fromkeys(scored) if counts[token]}
            details |= {"tokens": scored, "counts": known, "corpus_tokens": total, "vocabulary": call.vocabulary}
        told = f"{planned.gold[0]}, loss {loss(own['logprobs']):.3f}"
        return Answer(text, told, len(own["logprobs"]), call.milliseconds, details)


class _Call:
    """The requests of one item; `milliseconds` of all of them."""

    def __init__(self, endpoint: Endpoint, planned: Planned) -> None:
        self._endpoint, self._planned = endpoint, planned
        self.milliseconds, self.vocabulary = 0.0, 0

    async def own(self) -> Mapping[str, Any]:
        """The text itself, with what only some attacks need."""
        attacks = self._planned.ask["attacks"]
        extra = {"own_moments": "min_k_plus_plus" in attacks, "gradient_norm": "grad_norm" in attacks}
        body = {"texts": [self._planned.question], **{name: True for name, wanted in extra.items() if wanted}}
        [found] = await self.scored(body, self._planned.ask["owners"])
        return found

    async def after_prefix(self, count: int) -> float:
        """The loss of the text's last `count` tokens, those that have a score without prefix too, after the prefix."""
        item, prefix = self._planned.id, self._planned.ask["prefix"]
        before = await tokens(self._endpoint, prefix + "\n\n", item, begins=True)
        after = await tokens(self._endpoint, self._planned.question, item, begins=False)
        [found] = await self.scored({"tokens": [[*before, *after]]}, self._planned.ask["owners"])
        return loss(found["logprobs"][-count:])

    async def scored(self, body: Mapping[str, Any], owners: Sequence[str]) -> list[Mapping[str, Any]]:
        """Scores under the owners' mask: no other's expert may be in it, and the attacked one's must be, if theirs.

        A model without that expert would give the same scores with its owner in as out, which reads as no memory.
        """
        asked = {**body, "owners": list(owners)}
        reply = await self._endpoint.post("/v1/score", asked, item=self._planned.id)
        self.milliseconds += reply.latency_ms
        experts, attacked = self._planned.ask["experts"], self._planned.set
        off = [expert for expert, owner in experts.items() if owner not in owners]
        found = texts(reply, len(body.get("texts") or body["tokens"]), off=off)
        for expert in [expert for expert, owner in experts.items() if owner == attacked and owner in owners]:
            if any(expert not in one["experts"] for one in found):
                raise BadAnswer(
                    f"the model has no expert {expert}: add it, or leave {attacked} out (the option owners)"
                )
        try:
            self.vocabulary = int(reply.body["candor"]["vocabulary"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadAnswer("the scores do not say how large the vocabulary is: is this a Candor stack?") from error
        return found


def _own(own: Mapping[str, Any], attacks: Sequence[str]) -> dict[str, Any]:
    """The moments and the gradient of a text, if they were asked for."""
    try:
        found: dict[str, Any] = {}
        if "min_k_plus_plus" in attacks:
            found |= {name: _rounded(own[name]) for name in ("own_means", "own_variances")}
        if "grad_norm" in attacks:
            found["gradient_norm"] = float(own["gradient_norm"])
        return found
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer("the scores have no own_moments or gradient_norm, though they were asked for") from error


def _tokens(own: Mapping[str, Any]) -> list[int]:
    """The tokens that have a log-probability: all but the first."""
    try:
        found = [int(one) for one in own["tokens"]][1:]
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer("the scores do not say of which tokens they are") from error
    if len(found) != len(own["logprobs"]):
        raise BadAnswer(f"{len(own['logprobs'])} log-probabilities are not those of {len(found)} tokens")
    return found


def _rounded(values: Sequence[Any]) -> list[float]:
    return [round(float(one), _DIGITS) for one in values]
