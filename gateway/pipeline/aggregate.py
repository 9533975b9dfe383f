"""N samples become one answer: equal short answers are one class, and the classes are voted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.pipeline.short_answer import ShortAnswer, extract

Rule = Literal["confidence", "majority", "verifier", "first", "best"]

BORDA_POWER = 0.5
"""p of Borda's vote v(r) = (N - r + 1)^p in NoThinking (Ma et al. 2025)."""


@dataclass(frozen=True)
class Vote:
    """How the samples voted. `answers`, `votes`: of each sample, the votes being those of its class.

    `order` ranks the samples, the winner first.
    """

    answers: tuple[str, ...]
    votes: tuple[float, ...]
    order: tuple[int, ...]

    @property
    def winner(self) -> int:
        """The index of the sample that is the answer."""
        return self.order[0]


def aggregate(
    texts: Sequence[str],
    confidences: Sequence[float | None],
    question: str,
    rule: Rule,
    verified: Sequence[bool | None] = (),
) -> Vote:
    """Vote by `rule`; the winner is the most confident sample of the class with most votes, the earlier on a tie.

    `first` lets the first sample alone vote, and it wins; `best` the most confident one; `verifier` puts the
    `verified` samples before all others, the most confident first, and votes by `confidence`.
    `confidences`: self-certainty in nats. Where a sample has none, `confidence` counts heads like `majority`.
    An empty answer has no vote. Raises ValueError if there are no samples.
    """
    if not texts:
        raise ValueError("there are no samples to vote")
    answers = [extract(text) for text in texts]
    shorts = [ShortAnswer.of(answer, question) for answer in answers]
    weights = _weights([bool(short.words) for short in shorts], confidences, rule)
    votes = [0.0] * len(texts)
    for members in classes(shorts):
        total = sum(weights[member] for member in members)
        for member in members:
            votes[member] = round(total, 6)
    certain = [confidence if confidence is not None and rule != "first" else 0.0 for confidence in confidences]
    right = [bool(said) and rule == "verifier" for said in verified] or [False] * len(texts)
    order = sorted(
        range(len(texts)),
        key=lambda sample: (
            not right[sample],
            0.0 if right[sample] or rule == "best" else -votes[sample],
            not shorts[sample].words,
            -certain[sample],
            sample,
        ),
    )
    return Vote(tuple(answers), tuple(votes), tuple(order))


def classes(answers: Sequence[ShortAnswer]) -> list[list[int]]:
    """Indices of the answers that say the same. An answer joins a class only if it is the same as every member:
    sameness is not transitive, and a chain of near matches would end far from where it began. Equal answers stay
    together."""
    equal: dict[ShortAnswer, list[int]] = {}
    for index, answer in enumerate(answers):
        equal.setdefault(answer, []).append(index)
    found: list[list[int]] = []
    # longest first: a bare word then joins the full answer that holds it, and does not bridge two of them
    for answer in sorted(equal, key=lambda answer: (-len(answer.words), equal[answer][0])):
        fitting = [group for group in found if all(answer.same_as(answers[member]) for member in group)]
        if fitting:
            max(fitting, key=len).extend(equal[answer])
        else:
            found.append([*equal[answer]])
    return found


def _weights(spoken: Sequence[bool], confidences: Sequence[float | None], rule: Rule) -> list[float]:
    """The vote of each sample."""
    if rule == "first":
        return [1.0, *([0.0] * (len(spoken) - 1))]
    if rule == "best":
        best = min(range(len(spoken)), key=lambda sample: (not spoken[sample], -(confidences[sample] or 0.0), sample))
        return [float(sample == best and spoken[sample]) for sample in range(len(spoken))]
    known = [confidence for confidence in confidences if confidence is not None]
    if rule == "majority" or len(known) < len(spoken):
        return [float(said) for said in spoken]
    ranked = sorted(range(len(known)), key=lambda sample: (-known[sample], sample))
    weights = [0.0] * len(known)
    for rank, sample in enumerate(ranked, start=1):
        weights[sample] = (len(known) - rank + 1) ** BORDA_POWER if spoken[sample] else 0.0
    return weights
