"""How well the model predicts an owner's text that no expert was trained on, with and without each owner's experts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from statistics import fmean

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites.base import Answer, Kind, Planned
from services.evaluation.suites.owners.measure import ALL, Effect, Effects, Part, Scope, heatmap, without
from services.evaluation.suites.questions import item_seed
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

    def plan(self, scope: Scope) -> Part:
        """`limit` documents of each owner, drawn by the seed, under all settings that change the model."""
        part, content = Part(), hashlib.sha256()
        experts = {owner.id: list(owner.experts) for owner in scope.owners if owner.experts}
        left_out = [owner for owner in scope.left_out if owner in experts]
        if silent := [owner for owner in scope.left_out if owner not in experts]:
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
                for setting, out in [(ALL, None), *((without(one), one) for one in left_out)]:
                    body = {"texts": [text], "owners": scope.default(out)}
                    part.items.append(
                        Planned(
                            id=f"perplexity/{identity}@{setting}",
                            question_id=f"perplexity/{identity}",
                            set=f"perplexity/{owner}",
                            setting=setting,
                            question=text,
                            gold=[],
                            seed=item_seed(scope.seed, identity),
                            ask={
                                "measure": self.id,
                                "owner": owner,
                                "body": body,
                                "off": scope.off(out),
                            },
                        )
                    )
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
        """The perplexities, which are what people know."""
        before, after = math.exp(effect.before.mean), math.exp(effect.after.mean)
        what = f"held-out text of {owner} has a perplexity of {before:.1f} with all and {after:.1f} without {left_out}"
        ratio = _exponential(effect.difference)
        return f"{what}: {ratio.mean:.2f} times ({ratio.low:.2f} to {ratio.high:.2f}), over {effect.items} documents."


def _exponential(one: Estimate) -> Estimate:
    return Estimate(mean=math.exp(one.mean), low=math.exp(one.low), high=math.exp(one.high))
