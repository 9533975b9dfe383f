"""How well the model predicts an owner's text that no expert was trained on, with and without each owner's experts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from statistics import fmean

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites.base import Answer, Kind, Planned
from services.evaluation.suites.owners.measure import FEWEST, Effect, Effects, Part, Scope, heatmap
from services.evaluation.suites.scored import one_text
from services.evaluation.suites.texts import held_out
from shared.contracts.evaluation import Estimate
from shared.contracts.figure import Heatmap

CHARACTERS = 1200
"""Of a document: some 300 tokens."""


class Perplexity:
    """Mean negative log-likelihood a token of held-out documents, through /v1/score."""

    id = "perplexity"
    metrics: Mapping[str, Kind] = {"nll": "mean", "milliseconds": "mean"}
    effect = "nll"
    asks = "how well the model predicts texts of {}"
    counted = "texts"
    fewest = FEWEST

    def plan(self, scope: Scope) -> Part:
        """`limit` documents of each owner, drawn by the seed, under all settings that change the model."""
        part, content = Part(), hashlib.sha256()
        if silent := [owner for owner in scope.left_out if owner not in scope.with_expert]:
            part.warnings.append(
                f"perplexity: {', '.join(silent)} have no expert in the model; leaving them out changes no probability."
            )
        for owner in (one.id for one in scope.owners):
            chosen = held_out(scope.home, owner, limit=scope.limit, seed=scope.seed, characters=CHARACTERS)
            if len(chosen) < scope.limit:
                part.warnings.append(
                    f"perplexity: {owner} has {len(chosen)} held-out documents of the {scope.limit} asked for."
                )
            for identity, text in chosen.items():
                content.update(f"{identity}\n{text}\n".encode())
                part.items += [
                    scope.item(
                        (self.id, owner),
                        (identity, text),
                        setting,
                        {"body": {"texts": [text], "owners": scope.default(out)}, "off": scope.off(out)},
                    )
                    for setting, out in scope.settings_of_experts()
                ]
        part.digest = content.hexdigest()
        return part

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """The log-probability of every token but the first. Raises EndpointError or BadAnswer."""
        reply = await endpoint.post("/v1/score", planned.ask["body"], item=planned.id)
        found = one_text(reply, off=planned.ask["off"])
        nll = -fmean(found["logprobs"])
        details = {"nll": nll, "tokens": len(found["logprobs"]), "experts": found["experts"]}
        return Answer(planned.question, f"perplexity {math.exp(nll):.3f}", details["tokens"], reply.latency_ms, details)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:  # noqa: ARG002 - of the protocol
        """The mean over the document's tokens, in nats."""
        return {"nll": answer.details["nll"], "milliseconds": answer.latency_ms}

    def matrix(self, effects: Effects) -> Heatmap:
        """Perplexities over each other: the exponentials of the differences."""
        note = (
            "Above 1: the model predicts the row's held-out text worse when the column's owner is left out. Owners "
            "without an expert in the model change nothing here and have no column."
        )
        ratios = {place: _exponential(effect.difference) for place, effect in effects.items()}
        return heatmap("Perplexity with an owner left out, over perplexity with all", note, ratios, centre=1.0)

    def told(self, owner: str, left_out: str, effect: Effect) -> str:
        """Perplexity as a number of choices."""
        before, after = math.exp(effect.before.mean), math.exp(effect.after.mean)
        ratio = math.exp(effect.difference.mean)
        return (
            f"In {effect.items} texts of {owner} that no expert was trained on, the model is as unsure of the next "
            f"word as between {before:.1f} equally likely ones with everyone in, and as between {after:.1f} without "
            f"{left_out}, which is {ratio:.2f} times as many."
        )


def _exponential(one: Estimate) -> Estimate:
    return Estimate(mean=math.exp(one.mean), low=math.exp(one.low), high=math.exp(one.high))
