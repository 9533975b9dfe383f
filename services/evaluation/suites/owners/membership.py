"""Whether an outsider can tell the documents that an owner's expert was trained on, with and without each owner."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from services.evaluation.endpoint import Endpoint
from services.evaluation.metrics.membership import loss, min_k, zlib_ratio
from services.evaluation.suites.base import Answer, Kind, Planned, Separation
from services.evaluation.suites.membership.drawn import Text, draw
from services.evaluation.suites.owners.measure import FEWEST, Effect, Effects, Part, Scope, heatmap
from services.evaluation.suites.owners.perplexity import CHARACTERS
from services.evaluation.suites.scored import one_text
from shared.contracts.figure import Heatmap

NOBODY = "nobody"
"""The column of the matrix in which everyone takes part."""


class Membership:
    """The AUC of three attacks that need only the probabilities that the model gives a text.

    An item's scores are lower for a member: `loss`, `zlib`, `min_k`; `member` says whether it is one.
    """

    id = "membership"
    metrics: Mapping[str, Kind] = {
        "auc_loss": Separation("loss", "member"),
        "auc_zlib": Separation("zlib", "member"),
        "auc_min_k": Separation("min_k", "member"),
    }
    effect = "auc_loss"
    asks = "how well the documents of {} that its expert learnt from can be told from others"
    counted = "documents"
    fewest = 2 * FEWEST
    """Of both kinds together, which are as many."""

    def plan(self, scope: Scope) -> Part:
        """`limit` pairs of texts of each owner with an expert, under all settings that change the model."""
        part, content = Part(), hashlib.sha256()
        for owner in scope.with_expert:
            drawn = draw(scope.home, owner, limit=scope.limit, seed=scope.seed, characters=CHARACTERS)
            part.warnings += [f"membership: {warning}" for warning in drawn.warnings]
            for text in drawn.texts:
                content.update(f"{text.id}\n{text.member}\n{text.text}\n".encode())
                part.items += [_item(text, owner, setting, scope, out) for setting, out in scope.settings_of_experts()]
        part.digest = content.hexdigest()
        return part

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """The log-probability of every token but the first. Raises EndpointError or BadAnswer."""
        reply = await endpoint.post("/v1/score", planned.ask["body"], item=planned.id)
        found = one_text(reply, off=planned.ask["off"])
        details = {"logprobs": found["logprobs"], "experts": found["experts"]}
        told = f"{planned.gold[0]}, loss {loss(found['logprobs']):.3f}"
        return Answer(planned.question, told, len(found["logprobs"]), reply.latency_ms, details)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """Of each attack, lower for a member."""
        logprobs = answer.details["logprobs"]
        return {
            "member": float(planned.ask["member"]),
            "loss": loss(logprobs),
            "zlib": zlib_ratio(logprobs, planned.question),
            "min_k": min_k(logprobs),
        }

    def matrix(self, effects: Effects) -> Heatmap:
        """The AUC itself, with everyone and without each owner."""
        note = (
            "Shown a document that the row's expert was trained on and one of the same owner that it was not, is the "
            "more probable one the former? 0.5: as often as a coin says, 1: always. Without the owner itself its "
            "expert has no part; what is then above or below 0.5 is a difference between the documents, not a memory."
        )
        values = {(row, NOBODY): effect.before for (row, _), effect in effects.items()}
        values |= {place: effect.after for place, effect in effects.items()}
        return heatmap("Membership: AUC of the attack by loss", note, values, centre=0.5)

    def told(self, owner: str, left_out: str, effect: Effect) -> str:
        """What a guesser gets right, of a hundred pairs."""
        before, after = 100 * effect.before.mean, 100 * effect.after.mean
        return (
            f"Shown a document of {owner} that its expert was trained on and one that it was not, someone who sees how "
            f"likely the model finds each would pick out the first {before:.0f} times in 100 with everyone in and "
            f"{after:.0f} times without {left_out}, where guessing is right 50 times (by {effect.items} documents)."
        )


def _item(text: Text, owner: str, setting: str, scope: Scope, out: str | None) -> Planned:
    return scope.item(
        ("membership", owner),
        (text.id, text.text),
        setting,
        {
            "member": text.member,
            "off": scope.off(out),
            "body": {"texts": [text.text], "owners": scope.default(out)},
        },
        gold=["member" if text.member else "non-member"],
    )
